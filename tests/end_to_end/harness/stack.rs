//! The stack under test: a process of `local` that belongs to one test, or a deployed stack.
//!
//! | environment | meaning |
//! |---|---|
//! | `HOOKLINE_URL`, `HOOKLINE_TOKEN` | the deployed stack to test and its platform token; each test uses its own account |
//! | `HOOKLINE_RECEIVERS` | the URL of the tests' receivers for that stack: a tunnel to loopback, with `{port}` |
//! | `RETRY_SCHEDULE` | that stack's retry schedule; tests that need another one are skipped |
//! | `HOOKLINE_LOCAL_BIN` | the executable to test instead of `strict-local`, `local` with AWS's limits |

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::client::Api;
use crate::harness::program::Program;
use crate::harness::random::random_hex;

/// The default retry schedule.
const DEFAULT_SCHEDULE: &str = "0s,1m,5m,30m,2h";

// The options of the local process, each with its environment variable.
const LISTEN: (&str, &str) = ("--listen", "HOOKLINE_LISTEN");
const DATA: (&str, &str) = ("--data", "HOOKLINE_DATA");
const TOKEN: (&str, &str) = ("--token", "HOOKLINE_TOKEN");
const SCHEDULE: (&str, &str) = ("--retry-schedule", "RETRY_SCHEDULE");
const STRICT: (&str, &str) = ("--strict-endpoints", "STRICT_ENDPOINTS");
const CORS: (&str, &str) = ("--cors-allow-origins", "CORS_ALLOW_ORIGINS");
const SETTINGS: [(&str, &str); 6] = [LISTEN, DATA, TOKEN, SCHEDULE, STRICT, CORS];
/// Further variables that change what the local process does.
const FURTHER: [&str; 4] = ["LOG_LEVEL", "LOG_FORMAT", "NO_COLOR", "TRIAL_SCHEDULE"];

/// How to start the local process.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The value of `--retry-schedule`, if it is given.
    pub(crate) schedule: Option<&'static str>,
    /// Whether `--strict-endpoints` is given.
    pub(crate) strict: bool,
    /// The value of `--cors-allow-origins`, if it is given.
    pub(crate) cors: Option<&'static str>,
    /// Whether `--ephemeral` is given instead of `--data`.
    pub(crate) ephemeral: bool,
    /// Whether `--token` is given.
    pub(crate) token: bool,
    /// Whether the options are given as environment variables.
    pub(crate) environment: bool,
    /// The value of `LOG_LEVEL`, if it is set.
    pub(crate) log_level: Option<&'static str>,
    /// Whether the process has a terminal, with colours.
    pub(crate) terminal: bool,
    /// The port to listen on; 0 picks one.
    pub(crate) port: u16,
    /// Further variables of its environment.
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    /// A command that executes the command in its last arguments, such as `nsenter`. The process is
    /// started through it.
    pub(crate) within: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schedule: None,
            strict: false,
            cors: None,
            ephemeral: true,
            token: true,
            environment: false,
            log_level: None,
            terminal: false,
            port: 0,
            variables: vec![],
            within: vec![],
        }
    }
}

impl Options {
    /// A process with a data folder, which a restart finds again.
    pub(crate) fn durable() -> Self {
        Self { ephemeral: false, ..Self::default() }
    }

    /// The same options with another retry schedule.
    pub(crate) fn schedule(mut self, schedule: &'static str) -> Self {
        self.schedule = Some(schedule);
        self
    }
}

/// The stack that a test talks to. Dropping it kills the process and removes its folder.
pub(crate) struct Stack {
    // Dropped before the folder, which the process writes to.
    program: Option<Program>,
    folder: TempDir,
    options: Options,
    base: String,
    token: String,
    account: Option<String>,
}

impl Stack {
    /// The deployed stack, or a local process with the default options.
    pub(crate) async fn start() -> Self {
        match Self::with(Options::default()).await {
            Some(stack) => stack,
            None => Self::deployed().expect("without a deployed stack the target is a local process"),
        }
    }

    /// A stack with the default schedule, or `None` if the deployed stack has another.
    pub(crate) async fn with_default_schedule() -> Option<Self> {
        match Self::deployed() {
            Some(_) => Self::with_schedule(DEFAULT_SCHEDULE).await,
            None => Some(Self::start().await),
        }
    }

    /// A stack with this retry schedule, or `None` if the deployed stack has another.
    pub(crate) async fn with_schedule(schedule: &'static str) -> Option<Self> {
        match Self::deployed() {
            Some(stack) if deployed_schedule() == schedule => Some(stack),
            Some(_) => {
                println!("skipped: the deployed stack has another schedule than {schedule}");
                None
            }
            None => Some(Self::local(Options::default().schedule(schedule)).await),
        }
    }

    /// A local process with `options`, or `None` if the target is a deployed stack.
    pub(crate) async fn with(options: Options) -> Option<Self> {
        if Self::deployed().is_some() {
            println!("skipped: needs a process of its own, and the target is a deployed stack");
            return None;
        }
        Some(Self::local(options).await)
    }

    /// The deployed stack that the environment names, with a new account.
    fn deployed() -> Option<Self> {
        let base = std::env::var("HOOKLINE_URL").ok()?.trim_end_matches('/').to_owned();
        let token = std::env::var("HOOKLINE_TOKEN").expect("HOOKLINE_TOKEN is set where HOOKLINE_URL is");
        let account = Some(format!("e2e{}", random_hex()));
        Some(Self { program: None, folder: folder(), options: Options::default(), base, token, account })
    }

    /// A local process in a new folder.
    async fn local(options: Options) -> Self {
        Self::within(options, folder()).await
    }

    /// A local process with `options` whose working folder is `folder`.
    pub(crate) async fn within(options: Options, folder: TempDir) -> Self {
        let token = format!("hl_test_{}", random_hex());
        let (program, base) = spawn(&options, folder.path(), &token).await;
        Self { program: Some(program), folder, options, base, token, account: None }
    }

    /// A client with this stack's token.
    pub(crate) fn api(&self) -> Api {
        Api::new(&self.base, Some(&self.token), self.account.as_deref())
    }

    /// `http://HOST:PORT`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The token of the process or of the deployed stack.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The account that requests must name; `None` for a local process.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The working folder of the process. It contains the data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether the process has a terminal.
    pub(crate) fn is_on_terminal(&self) -> bool {
        self.options.terminal
    }

    /// The process and its output.
    pub(crate) fn program(&self) -> &Program {
        self.program.as_ref().expect("the target is a local process")
    }

    /// Waits until the process ends by itself; checks that it ends with success, and returns all lines of
    /// stdout.
    pub(crate) async fn end(&mut self) -> Vec<String> {
        let (status, stdout, _) = self.program.take().expect("the process runs").end().await;
        assert!(status.success(), "the process should end cleanly, it ended with {status}");
        stdout
    }

    /// Kills the process with SIGKILL.
    pub(crate) async fn kill_hard(&mut self) {
        self.program.take().expect("the process runs").kill().await;
    }

    /// Ends the process with SIGTERM; checks that it ends with success.
    pub(crate) async fn terminate(&mut self) {
        self.end_by("TERM").await;
    }

    /// As [`Self::terminate`]; returns all lines of stdout and of stderr.
    pub(crate) async fn terminate_and_read(&mut self) -> (Vec<String>, Vec<String>) {
        let mut program = self.program.take().expect("the process runs");
        let status = program.end_by("TERM").await;
        assert!(status.success(), "SIGTERM should end the process cleanly, it ended with {status}");
        let (_, stdout, stderr) = program.end().await;
        (stdout, stderr)
    }

    /// Ends the process with a signal such as `TERM`; checks that it ends with success.
    pub(crate) async fn end_by(&mut self, signal: &str) {
        let status = self.program.as_mut().expect("the process runs").end_by(signal).await;
        assert!(status.success(), "SIG{signal} should end the process cleanly, it ended with {status}");
        self.program = None;
    }

    /// As [`Self::restart`], with changed options.
    pub(crate) async fn restart_as(&mut self, change: impl FnOnce(&mut Options)) {
        change(&mut self.options);
        self.restart().await;
    }

    /// As [`Self::restart`], on the same port.
    pub(crate) async fn restart_in_place(&mut self) {
        let port = self.base.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.expect("a local process has a port");
        self.restart_as(|options| options.port = port).await;
    }

    /// Starts the process again with the same folder and options, on a new port.
    pub(crate) async fn restart(&mut self) {
        assert!(self.program.is_none(), "the process must have ended");
        let (program, base) = spawn(&self.options, self.folder.path(), &self.token).await;
        self.program = Some(program);
        self.base = base;
    }
}

/// Starts `local` on a folder that it must refuse; returns the reason, the one line that it prints.
pub(crate) async fn refusal(options: &Options, folder: &Path) -> String {
    let mut program = Program::spawn(command(options, folder, "hl_test_refused"));
    let (status, stdout, stderr) = program.end().await;
    assert_eq!((status.code(), stdout.as_slice()), (Some(1), &[][..]), "{stderr:#?}");
    let [line] = stderr.as_slice() else { panic!("a refusal is one line: {stderr:#?}") };
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line:?}")).to_owned()
}

/// Starts `local`; waits for its first line, and returns the process and its URL.
async fn spawn(options: &Options, folder: &Path, token: &str) -> (Program, String) {
    let command = command(options, folder, token);
    let program = if options.terminal { Program::spawn_on_terminal(command) } else { Program::spawn(command) };
    let first = program.first_line().await;
    let base = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("the first line on stdout is {first:?}"));
    assert!(base.starts_with("http://127.0.0.1:") && !base.ends_with(":0"), "the first line on stdout is {first:?}");
    (program, base.to_owned())
}

/// Starts `local` in `folder` with these arguments and variables alone.
pub(crate) fn start_as(arguments: &[&str], variables: &[(&str, &str)], folder: &Path) -> Program {
    let mut command = Command::new(executable());
    without_settings(&mut command, folder);
    command.args(arguments).envs(variables.iter().copied());
    Program::spawn(command)
}

/// Makes `command` run in `folder`, whatever the environment of the tests says.
fn without_settings(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env("TERM", "xterm");
    for variable in SETTINGS.map(|(_, variable)| variable).iter().chain(&FURTHER) {
        command.env_remove(variable);
    }
}

/// The command that starts `local` in `folder`.
fn command(options: &Options, folder: &Path, token: &str) -> Command {
    let mut command = match options.within.split_first() {
        None => Command::new(executable()),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(executable());
            command
        }
    };
    without_settings(&mut command, folder);
    command.envs(options.log_level.map(|level| ("LOG_LEVEL", level))).envs(options.variables.iter().copied());
    let mut set = |(option, variable): (&str, &str), value: Option<&str>| {
        if options.environment {
            command.env(variable, value.unwrap_or("1"));
        } else {
            command.arg(option).args(value);
        }
    };
    set(LISTEN, Some(&format!("127.0.0.1:{}", options.port)));
    if !options.ephemeral {
        set(DATA, Some("data"));
    }
    if options.token {
        set(TOKEN, Some(token));
    }
    if options.strict {
        set(STRICT, None);
    }
    if let Some(schedule) = options.schedule {
        set(SCHEDULE, Some(schedule));
    }
    if let Some(origins) = options.cors {
        set(CORS, Some(origins));
    }
    if options.ephemeral {
        command.arg("--ephemeral");
    }
    command
}

/// The schedule of the deployed stack, as the environment says.
fn deployed_schedule() -> String {
    std::env::var("RETRY_SCHEDULE").unwrap_or_else(|_| DEFAULT_SCHEDULE.to_owned())
}

/// The executable to test.
fn executable() -> PathBuf {
    std::env::var_os("HOOKLINE_LOCAL_BIN").map_or_else(|| env!("CARGO_BIN_EXE_strict-local").into(), PathBuf::from)
}

/// A new temporary folder.
fn folder() -> TempDir {
    TempDir::with_prefix("hookline-").expect("a temporary folder")
}
