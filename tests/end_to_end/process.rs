//! The stack under test: a process of `local` that a test owns, or a deployed stack.
//!
//! | environment | meaning |
//! |---|---|
//! | `HOOKLINE_URL`, `HOOKLINE_TOKEN` | test this stack; a platform token, since each test works in an account of its own |
//! | `HOOKLINE_RECEIVERS` | how that stack reaches the tests' receivers: a URL with `{port}` in it, of a tunnel to loopback |
//! | `RETRY_SCHEDULE` | that stack's schedule; tests that need another one are skipped |
//! | `HOOKLINE_LOCAL_BIN` | an executable of `local` to test in place of `strict-local`, which holds `local` to AWS's limits |

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::api::Api;
use crate::program::Program;

/// The default schedule.
const DEFAULT_SCHEDULE: &str = "0s,1m,5m,30m,2h";

/// The options of the local process, each with its environment variable.
const LISTEN: (&str, &str) = ("--listen", "HOOKLINE_LISTEN");
const DATA: (&str, &str) = ("--data", "HOOKLINE_DATA");
const TOKEN: (&str, &str) = ("--token", "HOOKLINE_TOKEN");
const SCHEDULE: (&str, &str) = ("--retry-schedule", "RETRY_SCHEDULE");
const STRICT: (&str, &str) = ("--strict-endpoints", "STRICT_ENDPOINTS");
const SETTINGS: [(&str, &str); 5] = [LISTEN, DATA, TOKEN, SCHEDULE, STRICT];

/// How to start the local process.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The value of `--retry-schedule`; without one the option is left out.
    pub(crate) schedule: Option<&'static str>,
    /// Whether `--strict-endpoints` is given.
    pub(crate) strict: bool,
    /// Whether `--ephemeral` is given, in place of `--data`.
    pub(crate) ephemeral: bool,
    /// Whether `--token` is given.
    pub(crate) token: bool,
    /// Whether the options are given as environment variables instead.
    pub(crate) environment: bool,
    /// The value of `LOG_LEVEL`; without one it is left out.
    pub(crate) log_level: Option<&'static str>,
    /// A command that takes another one as its last words and becomes it, such as one that enters a namespace.
    pub(crate) within: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schedule: None,
            strict: false,
            ephemeral: true,
            token: true,
            environment: false,
            log_level: None,
            within: vec![],
        }
    }
}

impl Options {
    /// Keeps the data in a folder, so that a restart finds it.
    pub(crate) fn durable() -> Self {
        Self { ephemeral: false, ..Self::default() }
    }

    /// Retries by `schedule`.
    pub(crate) fn schedule(mut self, schedule: &'static str) -> Self {
        self.schedule = Some(schedule);
        self
    }
}

/// What a test talks to. Dropping it ends the process and removes its folder.
pub(crate) struct Stack {
    // Dropped first: the process writes into the folder.
    program: Option<Program>,
    folder: TempDir,
    options: Options,
    base: String,
    token: String,
    account: Option<String>,
}

impl Stack {
    /// Any stack; a local one has the default schedule.
    pub(crate) async fn start() -> Self {
        match Self::with(Options::default()).await {
            Some(stack) => stack,
            None => Self::deployed().expect("without a deployed stack the local process is the target"),
        }
    }

    /// A stack with the default schedule, or `None` when the target is a deployed one with another.
    pub(crate) async fn with_default_schedule() -> Option<Self> {
        match Self::deployed() {
            Some(_) => Self::with_schedule(DEFAULT_SCHEDULE).await,
            None => Some(Self::start().await),
        }
    }

    /// A stack that retries by `schedule`, or `None` when the target is a deployed one with another schedule.
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

    /// A local process with `options`, or `None` (and a note) when the target is a deployed stack.
    pub(crate) async fn with(options: Options) -> Option<Self> {
        if Self::deployed().is_some() {
            println!("skipped: needs a process of its own, and the target is a deployed stack");
            return None;
        }
        Some(Self::local(options).await)
    }

    /// The stack that the environment names.
    fn deployed() -> Option<Self> {
        let base = std::env::var("HOOKLINE_URL").ok()?.trim_end_matches('/').to_owned();
        let token = std::env::var("HOOKLINE_TOKEN").expect("HOOKLINE_URL is set, so HOOKLINE_TOKEN must be");
        let account = Some(format!("e2e{}", random_hex()));
        Some(Self { program: None, folder: folder(), options: Options::default(), base, token, account })
    }

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

    /// The token that the process was given.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The account that requests must name, on a deployed stack.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The process's working folder; its data are below.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process and what it has printed.
    pub(crate) fn program(&self) -> &Program {
        self.program.as_ref().expect("the target is a local process")
    }

    /// `kill -9`.
    pub(crate) async fn kill_hard(&mut self) {
        self.program.take().expect("the process runs").kill().await;
    }

    /// SIGTERM; the process must end with success.
    pub(crate) async fn terminate(&mut self) {
        self.end_by("TERM").await;
    }

    /// SIGTERM, and all that the process has printed to both outputs.
    pub(crate) async fn terminate_and_read(&mut self) -> (Vec<String>, Vec<String>) {
        let mut program = self.program.take().expect("the process runs");
        let status = program.end_by("TERM").await;
        assert!(status.success(), "SIGTERM should end the process cleanly, it ended with {status}");
        let (_, stdout, stderr) = program.end().await;
        (stdout, stderr)
    }

    /// A signal that must end the process with success.
    pub(crate) async fn end_by(&mut self, signal: &str) {
        let status = self.program.as_mut().expect("the process runs").end_by(signal).await;
        assert!(status.success(), "SIG{signal} should end the process cleanly, it ended with {status}");
        self.program = None;
    }

    /// As [`Self::restart`], with other options.
    pub(crate) async fn restart_as(&mut self, change: impl FnOnce(&mut Options)) {
        change(&mut self.options);
        self.restart().await;
    }

    /// Starts the process again on the same folder with the same options; its port is a new one.
    pub(crate) async fn restart(&mut self) {
        assert!(self.program.is_none(), "the process must have ended");
        let (program, base) = spawn(&self.options, self.folder.path(), &self.token).await;
        self.program = Some(program);
        self.base = base;
    }
}

/// Starts `local` on a folder that it must refuse; gives the one line in which it says why, which is all that it prints.
pub(crate) async fn refusal(options: &Options, folder: &Path) -> String {
    let mut program = Program::spawn(command(options, folder, "hl_test_refused"));
    let (status, stdout, stderr) = program.end().await;
    assert_eq!((status.code(), stdout.as_slice()), (Some(1), &[][..]), "{stderr:#?}");
    let [line] = stderr.as_slice() else { panic!("a refusal is one line: {stderr:#?}") };
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line:?}")).to_owned()
}

/// Starts `local` and waits for the line that tells its address.
async fn spawn(options: &Options, folder: &Path, token: &str) -> (Program, String) {
    let program = Program::spawn(command(options, folder, token));
    let first = program.first_line().await;
    let base = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("the first line on stdout is {first:?}"));
    assert!(base.starts_with("http://127.0.0.1:") && !base.ends_with(":0"), "the first line on stdout is {first:?}");
    (program, base.to_owned())
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
    command.current_dir(folder).env_remove("LOG_LEVEL").envs(options.log_level.map(|level| ("LOG_LEVEL", level)));
    for (_, variable) in SETTINGS {
        command.env_remove(variable);
    }
    let mut set = |(option, variable): (&str, &str), value: Option<&str>| {
        if options.environment {
            command.env(variable, value.unwrap_or("1"));
        } else {
            command.arg(option).args(value);
        }
    };
    set(LISTEN, Some("127.0.0.1:0"));
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
    if options.ephemeral {
        command.arg("--ephemeral");
    }
    command
}

/// The schedule that the deployed stack is said to have.
fn deployed_schedule() -> String {
    std::env::var("RETRY_SCHEDULE").unwrap_or_else(|_| DEFAULT_SCHEDULE.to_owned())
}

/// The executable of the local process.
fn executable() -> PathBuf {
    std::env::var_os("HOOKLINE_LOCAL_BIN").map_or_else(|| env!("CARGO_BIN_EXE_strict-local").into(), PathBuf::from)
}

/// A package's executable of the same name.
pub(crate) fn build(package: &str) -> PathBuf {
    build_all(&[package]).remove(package).expect("cargo names the executable")
}

/// Asks cargo for packages' executables of the same names, so that a test never runs against a stale one.
pub(crate) fn build_all(packages: &[&str]) -> HashMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = std::process::Command::new(cargo)
        .args(["build", "--message-format", "json-render-diagnostics"])
        .args(packages.iter().flat_map(|package| ["--package", package, "--bin", package]))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{packages:?} do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
        })
        .collect()
}

fn folder() -> TempDir {
    TempDir::with_prefix("hookline-").expect("a temporary folder")
}

/// 32 hexadecimal digits that no other test has.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    hex::encode(bytes)
}
