//! `hookline completions` and `hookline --help`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::hookline::Hookline;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_shell_gets_its_completions() {
    let user = Hookline::alone();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = user.run(&["completions", shell]).await;
        assert!(script.expect(0).contains("rotate-secret"), "{shell}");
        if ["bash", "fish", "zsh"].contains(&shell) && is_installed(shell).await {
            let mut child = Command::new(shell).arg("-n").stdin(Stdio::piped()).spawn().expect("it runs");
            let mut stdin = child.stdin.take().expect("stdin is piped");
            stdin.write_all(script.stdout.as_bytes()).await.expect("it reads its stdin");
            drop(stdin);
            assert!(child.wait().await.expect("it ends").success(), "{shell} accepts the script");
        }
    }
}

/// Whether a shell is there. No machine needs all of them.
async fn is_installed(shell: &str) -> bool {
    Command::new(shell).args(["-c", ":"]).output().await.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_is_immediate() {
    let user = Hookline::alone();
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let mut command = user.command(&["--help"]);
        let start = Instant::now();
        let output = command.output().await.expect("it runs");
        fastest = fastest.min(start.elapsed());
        assert!(output.status.success());
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("hookline login"),
            "help names the order of precedence"
        );
    }
    assert!(fastest < Duration::from_millis(20), "the fastest of 20 took {fastest:?}");
}
