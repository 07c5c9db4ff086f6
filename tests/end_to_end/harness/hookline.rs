//! The command line `hookline`, as a user runs it: in a folder and with a configuration of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::cargo::build_named;
use crate::harness::program::Program;
use crate::harness::stack::Stack;

/// A user with a folder of their own.
pub(crate) struct Hookline {
    home: TempDir,
    environment: Vec<(&'static str, String)>,
    arguments: Vec<String>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Hookline {
    /// A user of a stack, whose URL and token are in the environment.
    pub(crate) fn of(stack: &Stack) -> Self {
        let account = stack.account().map(|account| ["--account".to_owned(), account.to_owned()]);
        let arguments = account.into_iter().flatten().collect();
        Self { arguments, ..Self::at(stack.base(), stack.token()) }
    }

    /// A user of the API at a URL.
    pub(crate) fn at(url: &str, token: &str) -> Self {
        let environment = vec![("HOOKLINE_URL", url.to_owned()), ("HOOKLINE_TOKEN", token.to_owned())];
        Self { environment, ..Self::alone() }
    }

    /// A user for whom nothing is set.
    pub(crate) fn alone() -> Self {
        let home = TempDir::with_prefix("hookline-").expect("a temporary folder");
        Self { home, environment: vec![], arguments: vec![] }
    }

    /// The user's home, which is also the current folder.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file in the current folder; returns its name.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.home().join(name), content).expect("the folder can be written");
        name.to_owned()
    }

    /// The command, which is not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command.args(arguments).args(&self.arguments).current_dir(self.home()).env("HOME", self.home());
        for name in ["HOOKLINE_URL", "HOOKLINE_TOKEN", "HOOKLINE_STACK", "XDG_CONFIG_HOME", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, "").await
    }

    /// Runs a command to its end, with a text on its stdin.
    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("hookline starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A command that does not read its stdin may have ended.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        let output = child.wait_with_output().await.expect("the process can be waited for");
        let text = |bytes| String::from_utf8(bytes).expect("output in UTF-8");
        Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts a command that goes on until it is ended.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Program {
        Program::spawn(self.command(arguments))
    }

    /// Runs a command with `--json`, which must succeed; returns what it prints.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat()).await;
        ran.expect(0);
        ran.json()
    }
}

impl Ran {
    /// Checks the exit status; returns stdout.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32) -> &str {
        assert_eq!(self.status, Some(status), "{self:#?}");
        &self.stdout
    }

    /// Checks the exit status of a failure, and that nothing is on stdout; returns stderr.
    #[track_caller]
    pub(crate) fn error(&self, status: i32) -> &str {
        assert_eq!((self.status, self.stdout.as_str()), (Some(status), ""), "{self:#?}");
        assert!(self.stderr.starts_with("error: "), "{self:#?}");
        &self.stderr
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The executable, built once for all tests.
fn executable() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE
        .get_or_init(|| build_named(&[("cli", "hookline")]).remove("hookline").expect("cargo names the executable"))
}
