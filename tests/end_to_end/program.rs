//! A child process whose printed lines can be awaited, and which never outlives its test.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long a program may take to print what is awaited, or to end: generous, since it is only reached by a failure.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running program and everything that it has printed.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdout: watch::Receiver<Vec<String>>,
    stderr: watch::Receiver<Vec<String>>,
}

impl Program {
    /// Starts `command` with both outputs read from the first byte on.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdout = keep_lines(child.stdout.take().expect("stdout is piped"));
        let stderr = keep_lines(child.stderr.take().expect("stderr is piped"));
        Self { name, child, stdout, stderr }
    }

    /// The first line on stdout for which `wanted` gives a value, whether it is printed already or not.
    pub(crate) async fn line<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.lines(what, |lines| lines.iter().find_map(|line| wanted(line))).await
    }

    /// What `wanted` makes of the lines on stdout, as soon as it gives a value.
    pub(crate) async fn lines<T>(&self, what: &str, wanted: impl Fn(&[String]) -> Option<T>) -> T {
        self.printed(&self.stdout, what, wanted).await
    }

    /// What `wanted` makes of the lines on stderr, as soon as it gives a value.
    pub(crate) async fn error_lines<T>(&self, what: &str, wanted: impl Fn(&[String]) -> Option<T>) -> T {
        self.printed(&self.stderr, what, wanted).await
    }

    async fn printed<T>(
        &self,
        output: &watch::Receiver<Vec<String>>,
        what: &str,
        wanted: impl Fn(&[String]) -> Option<T>,
    ) -> T {
        let mut output = output.clone();
        let found = async {
            loop {
                if let Some(value) = wanted(&output.borrow_and_update()) {
                    return Some(value);
                }
                output.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(Some(value)) => value,
            Ok(None) => panic!("{} ended without printing {what}", self.name),
            Err(late) => panic!("{} did not print {what}: {late}", self.name),
        }
    }

    /// The first line on stdout.
    pub(crate) async fn first_line(&self) -> String {
        self.line("a first line", |line| Some(line.to_owned())).await
    }

    /// Waits until it ends by itself; gives how it ended, and all that it has printed to both outputs.
    pub(crate) async fn end(&mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("{} does not end", self.name)).expect("it can be waited for");
        (status, whole(&self.stdout).await, whole(&self.stderr).await)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the process still runs")
    }

    /// SIGKILL, as a power cut would be for the process; returns when it is gone.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Sends a signal by its name, such as `TERM`; returns how the process ended.
    pub(crate) async fn end_by(&mut self, signal: &str) -> ExitStatus {
        let id = self.id().to_string();
        // The standard library sends SIGKILL alone, and a signal of one's own choice needs unsafe code.
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &id]).status().await.expect("sh runs");
        assert!(sent.success(), "SIG{signal} could not be sent to {id}");
        tokio::time::timeout(DEADLINE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} did not end after SIG{signal}", self.name))
            .expect("the process can be waited for")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.start_kill().is_ok() {
            // Its folder is removed next: wait until it can no longer write there.
            let deadline = Instant::now() + Duration::from_secs(2);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
        if std::thread::panicking() {
            for (output, lines) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
                println!("--- {} of {} ---\n{}", output, self.name, lines.borrow().join("\n"));
            }
        }
    }
}

/// All lines of an output, once it has ended.
async fn whole(output: &watch::Receiver<Vec<String>>) -> Vec<String> {
    let mut output = output.clone();
    while output.changed().await.is_ok() {}
    output.borrow().clone()
}

/// Reads `output` line by line until it ends; the channel closes with it.
fn keep_lines(output: impl AsyncRead + Send + Unpin + 'static) -> watch::Receiver<Vec<String>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|kept| kept.push(line));
        }
    });
    receiver
}
