//! A 202 means stored: what was answered so arrives, though the process is killed in the middle or ended in order.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use reqwest::Method;
use tokio::sync::watch;

use crate::api::Api;
use crate::process::{Options, Stack};
use crate::receiver::{Answer, Received, Receiver};

/// As many events, and as many at the same time.
const EVENTS: usize = 2000;
const CONCURRENT: usize = 16;
/// All of them, on a machine that is busy with other things too.
const DEADLINE: Duration = Duration::from_mins(3);

/// The ids of the events that were answered with 202, in the order of the answers.
type Accepted = watch::Sender<Vec<String>>;

/// Publishes one event for each number, sixteen at a time.
async fn publish(api: &Api, numbers: Range<usize>, accepted: &Accepted) {
    let publish_one = async |number: usize| {
        let body = format!(r#"{{"type":"resource.created","data":{{"object":{{"id":"res_{number}"}}}}}}"#);
        let sent = api.try_send(Method::POST, "/v1/events", Some(("application/json", body.into_bytes()))).await;
        // A publisher that gets no answer knows nothing about its event: only a 202 is a promise.
        if let Ok(reply) = sent {
            reply.expect(202);
            accepted.send_modify(|ids| ids.push(reply.id()));
        }
    };
    futures::stream::iter(numbers).for_each_concurrent(CONCURRENT, publish_one).await;
}

/// Publishes the first half, and kills the process while the last of it are in flight.
async fn publish_and_kill(stack: &mut Stack, numbers: Range<usize>, accepted: &Accepted) {
    let api = stack.api();
    let enough = numbers.len() - CONCURRENT;
    let kill = async {
        let mut answers = accepted.subscribe();
        let answered = tokio::time::timeout(DEADLINE, answers.wait_for(|ids| ids.len() >= enough));
        answered.await.expect("the publisher gets its answers").expect("the channel is ours");
        stack.kill_hard().await;
    };
    tokio::join!(publish(&api, numbers, accepted), kill);
}

/// Waits until every accepted event has come; gives how often each did.
async fn all_came(receiver: &Receiver, accepted: &[String]) -> HashMap<String, usize> {
    let wanted: HashSet<&str> = accepted.iter().map(String::as_str).collect();
    let came = |seen: &[Arc<Received>]| -> HashSet<String> {
        seen.iter().map(|request| request.event().to_owned()).filter(|event| wanted.contains(event.as_str())).collect()
    };
    let what = format!("all of {} accepted events", wanted.len());
    let enough = |seen: &[Arc<Received>]| seen.len() >= wanted.len() && came(seen).len() == wanted.len();
    let seen = receiver.wait_until(DEADLINE, &what, enough).await;
    let mut counts = HashMap::new();
    for request in seen {
        *counts.entry(request.event().to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_event_arrives_after_a_kill_in_the_middle() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::answering(200).await;
    let webhook = stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let accepted = Accepted::default();

    // Sixteen are always in flight: the kill comes while some are being stored, queued, claimed, sent and recorded.
    publish_and_kill(&mut stack, 0..EVENTS / 2, &accepted).await;
    let before = accepted.borrow().len();
    stack.restart().await;
    publish(&stack.api(), EVENTS / 2..EVENTS, &accepted).await;

    let accepted = accepted.borrow().clone();
    let counts = all_came(&receiver, &accepted).await;
    let twice = counts.values().filter(|&&count| count > 1).count();
    let unanswered = counts.keys().filter(|event| !accepted.contains(event)).count();
    println!(
        "{before} accepted before the kill, {} in all; {twice} came more than once, {unanswered} unanswered came",
        accepted.len()
    );
    assert!(accepted.len() >= EVENTS - CONCURRENT, "the publisher was answered throughout: {}", accepted.len());

    let delivery = stack.api().delivery_when(&accepted[0], &webhook.id, |d| d["status"] == "delivered").await;
    assert_eq!(delivery["webhook_id"], webhook.id.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_was_waiting_comes_after_a_kill_and_not_early() {
    let Some(mut stack) = Stack::with(Options::durable().schedule("0s,3s,3s,3s,3s")).await else { return };
    let receiver = Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await;
    let webhook = stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let event = stack.api().publish("resource.created").await.id();
    let recorded = |delivery: &serde_json::Value| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1);
    stack.api().delivery_when(&event, &webhook.id, recorded).await;
    stack.kill_hard().await;
    stack.restart().await;

    let seen = receiver.wait_for(2).await;
    assert_eq!((seen[1].event(), seen[1].attempt()), (event.as_str(), 2));
    let wait = seen[1].at - seen[0].at;
    assert!(wait >= Duration::from_millis(2999), "the second attempt came after {wait:?}");
    stack.api().delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_in_order_loses_nothing_and_sends_nothing_twice() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::answering(200).await;
    stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let accepted = Accepted::default();
    publish(&stack.api(), 0..200, &accepted).await;
    stack.terminate().await;
    stack.restart().await;
    let accepted = accepted.borrow().clone();
    assert_eq!(accepted.len(), 200);
    let counts = all_came(&receiver, &accepted).await;
    let twice: Vec<_> = counts.iter().filter(|&(_, &count)| count > 1).collect();
    assert!(twice.is_empty(), "an attempt was sent twice though no worker died: {twice:?}");
}
