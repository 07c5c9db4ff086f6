//! An account with very many webhooks: every one gets the event, once.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, stream};

use crate::process::Stack;
use crate::receiver::Receiver;

const WEBHOOKS: usize = 10_000;
/// For ten thousand registrations and deliveries of an unoptimised build on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_webhooks_get_the_event_once_each() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let urls: Vec<_> = (0..WEBHOOKS).map(|index| receiver.url(&format!("/{index}"))).collect();
    stream::iter(&urls).for_each_concurrent(32, async |url| drop(api.register(url, &["user.created"]).await)).await;

    let event = api.publish("user.created").await.id();
    receiver.wait_until(DEADLINE, "every webhook's delivery", |seen| seen.len() >= WEBHOOKS).await;
    // A second event passes through the same pages: whatever the first one still had to send has been sent by then.
    let marker = api.publish("user.created").await.id();
    let seen = receiver.wait_until(DEADLINE, "the second event", |seen| seen.len() >= 2 * WEBHOOKS).await;
    for published in [&event, &marker] {
        let paths: HashSet<_> =
            seen.iter().filter(|request| request.event() == published).map(|request| &request.path).collect();
        assert_eq!(paths.len(), WEBHOOKS, "every webhook has {published}");
    }
    assert_eq!(seen.len(), 2 * WEBHOOKS, "and has it once");
}
