//! A child process whose output a test can wait for. It is killed when the test ends.

use std::fs::File;
use std::io::BufRead;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// The longest wait for a line, or for the end of the program. It is generous, since only a failing
/// test reaches it.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running program and all lines that it has printed.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdout: watch::Receiver<Vec<String>>,
    stderr: watch::Receiver<Vec<String>>,
}

impl Program {
    /// Starts `command` and reads its stdout and stderr from the first byte.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdout = keep_lines(child.stdout.take().expect("stdout is piped"));
        let stderr = keep_lines(child.stderr.take().expect("stderr is piped"));
        Self { name, child, stdout, stderr }
    }

    /// Starts `command` on a terminal, whose lines count as stdout.
    pub(crate) fn spawn_on_terminal(mut command: Command) -> Self {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        let (ours, programs) = terminal();
        let second = programs.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(programs).stderr(second).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        // The command has the terminal's other handles: the lines end once the process alone has had some.
        drop(command);
        let (sender, stdout) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(ours).lines().map_while(Result::ok) {
                sender.send_modify(|kept: &mut Vec<String>| kept.push(line));
            }
        });
        let (_, stderr) = watch::channel(Vec::new());
        Self { name, child, stdout, stderr }
    }

    /// Waits for a line on stdout for which `wanted` returns a value, and returns the value.
    pub(crate) async fn line<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.lines(what, |lines| lines.iter().find_map(|line| wanted(line))).await
    }

    /// Waits until `wanted` returns a value for the lines on stdout so far, and returns it.
    pub(crate) async fn lines<T>(&self, what: &str, wanted: impl Fn(&[String]) -> Option<T>) -> T {
        self.printed(&self.stdout, what, wanted).await
    }

    /// Waits until `wanted` returns a value for the lines on stderr so far, and returns it.
    pub(crate) async fn error_lines<T>(&self, what: &str, wanted: impl Fn(&[String]) -> Option<T>) -> T {
        self.printed(&self.stderr, what, wanted).await
    }

    /// Waits until `wanted` returns a value for the lines of `output`.
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

    /// Waits for the first line on stdout.
    pub(crate) async fn first_line(&self) -> String {
        self.line("a first line", |line| Some(line.to_owned())).await
    }

    /// Waits until the program ends by itself; returns its status and all lines of stdout and of
    /// stderr.
    pub(crate) async fn end(&mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let status =
            ended.unwrap_or_else(|_| panic!("{} does not end", self.name)).expect("the process can be waited for");
        (status, whole(&self.stdout).await, whole(&self.stderr).await)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the process still runs")
    }

    /// Kills the process with SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Sends a signal such as `TERM`, or `KILL`; returns the status with which the process ends.
    pub(crate) async fn end_by(&mut self, signal: &str) -> ExitStatus {
        self.send(signal).await;
        tokio::time::timeout(DEADLINE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} did not end after SIG{signal}", self.name))
            .expect("the process can be waited for")
    }

    /// Sends a signal such as `TERM`.
    pub(crate) async fn send(&self, signal: &str) {
        let id = self.id().to_string();
        // The standard library only sends SIGKILL. Sending another signal would need unsafe code.
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &id]).status().await.expect("sh runs");
        assert!(sent.success(), "SIG{signal} could not be sent to {id}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.start_kill().is_ok() {
            // The folder of the process is removed next, so wait until the process can no longer
            // write to it.
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

/// Waits until an output has ended; returns all its lines.
async fn whole(output: &watch::Receiver<Vec<String>>) -> Vec<String> {
    let mut output = output.clone();
    while output.changed().await.is_ok() {}
    output.borrow().clone()
}

/// Reads `output` line by line. The channel closes when the output ends.
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

/// Opens a terminal; returns our end and the program's.
fn terminal() -> (File, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal for this user");
    let name = ptsname(&ours, Vec::new()).expect("a terminal with a name").into_string().expect("a path");
    let programs = File::options().read(true).write(true).open(name).expect("the program's end");
    (File::from(ours), programs)
}

/// Whether `program` runs here and ends with success for the arguments `probe`. Prints a note if
/// not.
///
/// With `HOOKLINE_REQUIRE_RECEIVERS=1` a program that cannot run is a failure.
pub(crate) async fn can_run(program: &str, probe: &[&str]) -> bool {
    let probed = Command::new(program).args(probe).output().await;
    if probed.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let required = std::env::var("HOOKLINE_REQUIRE_RECEIVERS").is_ok_and(|value| value == "1");
    assert!(!required, "{program} {probe:?} fails, and HOOKLINE_REQUIRE_RECEIVERS is set");
    println!("skipped: {program} {probe:?} fails here");
    false
}
