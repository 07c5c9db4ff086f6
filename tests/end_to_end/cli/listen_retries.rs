//! `hookline listen` with a receiver that fails: the same event again, later and later, and nothing overtakes it.

use std::time::Duration;

use tokio::net::TcpListener;

use super::listen::{events, listen, listen_to};
use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::signature::check;
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_event_is_sent_again_with_backoff_signed_anew_and_nothing_overtakes_it() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::in_turn([200, 500, 503, 200].map(Answer::status).to_vec()).await);
    let listener = listen(&Hookline::of(&stack), &receiver, &[]).await;
    let mut published = vec![];
    for _ in 0..4 {
        published.push(api.publish("user.created").await.id());
    }
    receiver.wait_for(2).await;
    published.push(api.publish("user.updated").await.id());
    let seen = receiver.wait_for(7).await;
    let [first, failing, rest @ ..] = published.as_slice() else { panic!("{published:?}") };
    let expected = [&[first, failing, failing, failing].map(Clone::clone)[..], rest].concat();
    assert_eq!(events(&seen), expected);
    let attempts: Vec<_> = seen[1..4].iter().map(|request| request.attempt()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    for (pair, wait) in seen[1..4].windows(2).zip([1, 2]) {
        let waited = pair[1].at - pair[0].at;
        assert!(waited >= Duration::from_secs(wait), "the attempt after {wait} s came after {waited:?}");
    }
    let signed_at = |at: usize| seen[at].header("webhook-timestamp").parse::<i64>().expect("seconds");
    assert!(signed_at(3) - signed_at(1) >= 2, "each attempt is signed when it is made");
    for request in &seen {
        check(request, &listener.secret);
    }
    for (status, end) in [("500", "attempt 1, next in 1 s"), ("503", "attempt 2, next in 2 s"), ("200", "attempt 3")] {
        let is_shown = |line: &str| line.contains(&format!("  {failing}  {status}  ")) && line.ends_with(end);
        listener.program.line(end, |line| is_shown(line).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_waits_for_a_receiver_that_is_not_started_yet() {
    let stack = Stack::start().await;
    // The port is free again once the listener is dropped.
    let port = TcpListener::bind("127.0.0.1:0").await.and_then(|free| free.local_addr()).expect("a free port").port();
    let listener = listen_to(&Hookline::of(&stack), &port.to_string(), &["--json"]).await;
    let ids = [stack.api().publish("user.created").await.id(), stack.api().publish("user.updated").await.id()];
    let failed = |line: &str| line.contains(r#""attempt":2,"#) && line.contains(r#""error":"nothing listens there""#);
    let line = listener.program.line("a second failure", |line| failed(line).then(|| line.to_owned())).await;
    assert!(line.contains(&ids[0]) && line.contains(r#""status":null"#), "{line}");
    let receiver = Receiver::on_port(port, |_, _| Answer::status(200)).await;
    let seen = receiver.wait_for(2).await;
    assert_eq!(events(&seen), ids);
    check(&seen[0], &listener.secret);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_whole_answer_with_2xx_is_a_success() {
    let stack = Stack::start().await;
    let elsewhere = Receiver::answering(200).await;
    let redirect = Answer::with(302, "Location", &elsewhere.url("/"));
    let cut = Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut");
    let receiver = Receiver::in_turn(vec![redirect, cut, Answer::status(299)]).await;
    let listener = listen(&Hookline::of(&stack), &receiver, &[]).await;
    let ids = [stack.api().publish("user.created").await.id(), stack.api().publish("user.updated").await.id()];
    let seen = receiver.wait_for(4).await;
    assert_eq!(events(&seen), [&ids[0], &ids[0], &ids[0], &ids[1]].map(Clone::clone));
    assert!(elsewhere.seen().is_empty(), "a redirect is not followed");
    listener.program.line("the success", |line| line.contains("299").then_some(())).await;
}
