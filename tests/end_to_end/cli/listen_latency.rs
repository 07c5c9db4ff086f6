//! How long `hookline listen` takes from an event's 202 to its arrival.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::listen::listen;
use crate::harness::hookline::Hookline;
use crate::harness::receiver::Receiver;
use crate::harness::stack::Stack;

const EVENTS: u32 = 300;
const EVERY: Duration = Duration::from_millis(50);
const P50_MAX: Duration = Duration::from_millis(1200);
const P99_MAX: Duration = Duration::from_millis(2500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_at_twenty_a_second_arrive_about_a_second_after_their_202() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let _listener = listen(&Hookline::of(&stack), &receiver, &[]).await;
    let (begin, mut published) = (Instant::now(), vec![]);
    for number in 0..EVENTS {
        tokio::time::sleep_until(begin + EVERY * number).await;
        let api = stack.api();
        published.push(tokio::spawn(async move { (api.publish("user.created").await.id(), Instant::now()) }));
    }
    let mut accepted = HashMap::new();
    for event in published {
        accepted.extend([event.await.expect("published")]);
    }
    let seen = receiver.wait_for(accepted.len()).await;
    assert_eq!(seen.len(), accepted.len(), "each once");
    let mut latencies: Vec<_> =
        seen.iter().map(|request| request.at.saturating_duration_since(accepted[request.event()])).collect();
    latencies.sort();
    let percentile = |percent: usize| latencies[(latencies.len() * percent).div_ceil(100) - 1];
    let (p50, p99) = (percentile(50), percentile(99));
    println!("{} events at 20 a second, from the 202 to the arrival: p50 {p50:?}, p99 {p99:?}", latencies.len());
    assert!(p50 < P50_MAX && p99 < P99_MAX, "p50 {p50:?}, p99 {p99:?}");
}
