//! The end of the process: the signals that ask for it, and the wait for what is under way.

use std::{
    future::pending,
    io::{IsTerminal, Write},
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

/// How long the process waits for work under way: time for an attempt and its record.
const GRACE: Duration = Duration::from_secs(8);
/// What ends within this time is not worth a word.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Listens for Ctrl-C and SIGTERM from its creation on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => overwrite_echo(),
            _ = self.terminate.recv() => {}
        }
    }
}

/// Lets the next line of a terminal begin where the terminal has written `^C`.
fn overwrite_echo() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = stderr.write_all(b"\r");
    }
}

/// Waits until `tasks` have ended, for at most 8 s or until the next signal. `attempts` returns how many are under way.
/// `is_kept` is whether the next start goes on with the data.
pub(crate) async fn wait(mut tasks: JoinSet<()>, signals: &mut Signals, attempts: impl Fn() -> usize, is_kept: bool) {
    let most_s = GRACE.as_secs();
    let ended = async { while tasks.join_next().await.is_some() {} };
    let say = async {
        tokio::time::sleep(AT_ONCE).await;
        let what = match attempts() {
            0 => "requests".to_owned(),
            1 => "1 attempt".to_owned(),
            many => format!("{many} attempts"),
        };
        tracing::info!("waiting for {what} under way, at most {most_s} s; press Ctrl-C again to stop at once");
        pending::<()>().await;
    };
    let (done, rest) = if is_kept {
        ("the data is kept", "what was under way continues at the next start")
    } else {
        ("nothing was kept", "nothing was kept")
    };
    tokio::select! {
        () = ended => tracing::info!("stopped; {done}"),
        () = signals.next() => tracing::info!("stopped at once; {rest}"),
        () = tokio::time::sleep(GRACE) => tracing::warn!("stopped after {most_s} s; {rest}"),
        () = say => {}
    }
}
