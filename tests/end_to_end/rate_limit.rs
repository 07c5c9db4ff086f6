//! A webhook's rate limit is kept exactly, and loses nothing.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use hookline::id::{AccountId, WebhookId};
use hookline::store::pace::{self, Slot, Task};

use crate::process::Stack;
use crate::receiver::Receiver;
use crate::simulated_day::World;

const PER_SECOND: usize = 10;
const EVENTS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_events_at_ten_a_second() {
    let stack = Stack::start().await;
    let api = stack.api();
    let (paced, free) = (Receiver::answering(200).await, Receiver::answering(200).await);
    api.register_as(&json!({ "url": paced.url("/"), "events": ["user.created"], "rate_limit": PER_SECOND })).await;
    api.register(&free.url("/"), &["user.created"]).await;
    let published = join_all((0..EVENTS).map(|_| api.publish("user.created"))).await;
    let ids: HashSet<_> = published.iter().map(|reply| reply.id()).collect();

    let seen = paced.wait_until(Duration::from_secs(60), "the paced events", |seen| seen.len() >= EVENTS).await;
    let arrived: HashSet<_> = seen.iter().map(|request| request.event().to_owned()).collect();
    assert_eq!(arrived, ids, "none is lost");
    assert_eq!(seen.len(), EVENTS, "none comes twice");
    let mut times: Vec<_> = seen.iter().map(|request| request.at).collect();
    times.sort();
    // Ten slots begin within any second; one more arrival is what rounding makes of a slot at its edge.
    let second_with_twelve =
        times.windows(PER_SECOND + 2).find(|all| all[PER_SECOND + 1].duration_since(all[0]) < Duration::from_secs(1));
    assert_eq!(second_with_twelve, None, "no second holds more than ten");
    let took = times[EVENTS - 1].duration_since(times[0]);
    // A slot is a tenth of a second; the first arrival may be late by what a busy machine makes of it.
    assert!(took > Duration::from_secs(18), "the limit is kept: {took:?}");
    assert!(took < Duration::from_secs(40), "and used: {took:?}");
    let end = times[EVENTS - 1];
    let last_free = free.wait_for(EVENTS).await.iter().map(|request| request.at).max();
    assert!(last_free.is_some_and(|last| last < end), "another webhook does not wait for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_workers_never_share_a_permit_or_a_slot() {
    let world = World::new().await;
    let account: AccountId = "acme".parse().expect("a name");
    let webhook = WebhookId::new(world.app.clock.now(), &world.app.random);
    let (app, account, start) = (&world.app, &account, world.app.clock.now());
    let given = |has_slot, times| async move {
        let workers = (0..8).map(|_| async move {
            let mut given = Vec::new();
            for _ in 0..times {
                let task = Task { account, webhook, rate_limit: PER_SECOND as u32, has_slot };
                given.push(pace::take_slot(app, task, Duration::ZERO).await.expect("an answer"));
            }
            given
        });
        let given = join_all(workers).await.concat();
        let (mut permits, mut slots): (Vec<_>, Vec<_>) =
            given.into_iter().partition(|slot| matches!(slot, Slot::Permit(_)));
        [&mut permits, &mut slots].map(|given| {
            let at = |slot: &Slot| match slot {
                Slot::Permit(at) | Slot::ComeBack(at) => at.unix_ms() - start.unix_ms(),
            };
            let mut times: Vec<_> = given.iter().map(at).collect();
            times.sort_unstable();
            times
        })
    };
    // A permit or slot takes 105 ms: ten in a second, each up to 50 ms late.
    let [permits, slots] = given(false, 25).await;
    assert_eq!(permits, (0..10).map(|place| place * 105).collect::<Vec<_>>(), "those of the next second");
    assert_eq!(slots, (10..200).map(|place| place * 105).collect::<Vec<_>>(), "one after the other, behind them");
    let [permits, late] = given(true, 2).await;
    assert_eq!(permits, Vec::<i64>::new(), "no more of them");
    assert_eq!(late, (10..26).map(|place| place * 105).collect::<Vec<_>>(), "ahead of those that wait");
}
