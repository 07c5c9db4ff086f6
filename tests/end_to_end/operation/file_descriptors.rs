//! A process with few file descriptors reserves some: hanging endpoints leave enough to other
//! endpoints and the API.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::{Options, Stack};

/// The longest time for an answer of the API or a healthy delivery, while others hang. It is long
/// enough for an unoptimised build. A delivery without a descriptor would arrive a minute later,
/// and an API without one would not answer at all.
const IN_TIME: Duration = Duration::from_secs(25);

/// A local process that a shell starts after the command `limit`.
fn within(limit: &str) -> Options {
    let shell = ["bash", "-c", &format!("{limit}; exec \"$@\""), "--"].map(str::to_owned);
    Options { within: shell.to_vec(), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_endpoints_leave_file_descriptors_for_others_and_the_api() {
    const HANGING: usize = 400;
    let Some(stack) = Stack::with(within("ulimit -n 256")).await else { return };
    let api = stack.api();
    let (tarpit, healthy) = (Receiver::in_turn(vec![Answer::Hang]).await, Receiver::answering(200).await);
    for number in 0..HANGING {
        api.register(&tarpit.url(&format!("/{number}")), &["resource.created"]).await;
    }
    api.register(&healthy.url("/"), &["user.created"]).await;
    api.publish("resource.created").await;
    tarpit.wait_for(1).await;
    for _ in 0..5 {
        let began = Instant::now();
        let event = timeout(IN_TIME, api.publish("user.created")).await.expect("the API answers").id();
        healthy.wait_for_event(&event, 1).await;
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        timeout(IN_TIME, api.get("/v1/webhooks")).await.expect("the API answers").expect(200);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let bound = |lines: &[String]| lines.iter().any(|line| line.contains("the bound on")).then_some(());
    stack.program().error_lines("a line that names the bound", bound).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_soft_limit_is_raised_to_the_hard_limit() {
    let Some(stack) = Stack::with(within("ulimit -S -n 200")).await else { return };
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", stack.program().id()));
    let Ok(limits) = limits else { return println!("skipped: this system has no /proc") };
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit of files");
    let [.., soft, hard, _] = files.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{files}") };
    assert_eq!(soft, hard, "{files}");
}
