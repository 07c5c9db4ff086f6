//! A webhook's rate limit is kept exactly, and no delivery is lost to it.

use std::collections::HashSet;
use std::time::Duration;

use domain::id::WebhookId;
use futures::future::join_all;
use serde_json::json;
use store::rate_limits::{self, RateLimited, Reserved};

use crate::harness::receiver::Receiver;
use crate::harness::stack::Stack;
use crate::harness::world::{World, acme};

const PER_SECOND: usize = 10;
const EVENTS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_events_arrive_at_ten_a_second() {
    let stack = Stack::start().await;
    let api = stack.api();
    let (limited, unlimited) = (Receiver::answering(200).await, Receiver::answering(200).await);
    api.register_as(&json!({ "url": limited.url("/"), "events": ["user.created"], "rate_limit": PER_SECOND })).await;
    api.register(&unlimited.url("/"), &["user.created"]).await;
    let published = join_all((0..EVENTS).map(|_| api.publish("user.created"))).await;
    let ids: HashSet<_> = published.iter().map(|reply| reply.id()).collect();

    let seen = limited.wait_until(Duration::from_secs(60), "all events", |seen| seen.len() >= EVENTS).await;
    let arrived: HashSet<_> = seen.iter().map(|request| request.event().to_owned()).collect();
    assert_eq!(arrived, ids, "an event was lost");
    assert_eq!(seen.len(), EVENTS, "an event arrived twice");
    let mut times: Vec<_> = seen.iter().map(|request| request.at).collect();
    times.sort();
    // Ten slots begin within any second. Rounding may add one arrival at the edge.
    let second_with_twelve =
        times.windows(PER_SECOND + 2).find(|all| all[PER_SECOND + 1].duration_since(all[0]) < Duration::from_secs(1));
    assert_eq!(second_with_twelve, None, "more than ten events arrived within a second");
    let took = times[EVENTS - 1].duration_since(times[0]);
    // A slot takes a tenth of a second. On a busy machine the first arrival may be late.
    assert!(took > Duration::from_secs(18), "the limit was exceeded: {took:?}");
    assert!(took < Duration::from_secs(40), "the limit was not used: {took:?}");
    let end = times[EVENTS - 1];
    let last_unlimited = unlimited.wait_for(EVENTS).await.iter().map(|request| request.at).max();
    assert!(last_unlimited.is_some_and(|last| last < end), "the other webhook was delayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_workers_never_reserve_the_same_slot() {
    let world = World::new().await;
    let account = acme();
    let webhook = WebhookId::new(world.app.clock.now(), &world.app.random);
    let (app, account, start) = (&world.app, &account, world.app.clock.now());
    let given = |has_slot, times| async move {
        let workers = (0..8).map(|_| async move {
            let mut given = Vec::new();
            for _ in 0..times {
                let task = RateLimited { account, webhook, rate_limit: PER_SECOND as u32, has_slot };
                given.push(rate_limits::reserve(&app.store, task, Duration::ZERO).await.expect("an answer"));
            }
            given
        });
        let given = join_all(workers).await.concat();
        let (mut permits, mut slots): (Vec<_>, Vec<_>) =
            given.into_iter().partition(|reserved| matches!(reserved, Reserved::Permit(_)));
        [&mut permits, &mut slots].map(|given| {
            let at = |reserved: &Reserved| match reserved {
                Reserved::Permit(at) | Reserved::Slot(at) => at.unix_ms() - start.unix_ms(),
            };
            let mut times: Vec<_> = given.iter().map(at).collect();
            times.sort_unstable();
            times
        })
    };
    // A slot takes 105 ms: ten in a second, each up to 50 ms late.
    let slots_of = |numbers: std::ops::Range<i64>| numbers.map(|number| number * 105).collect::<Vec<_>>();
    let [permits, slots] = given(false, 25).await;
    assert_eq!(permits, slots_of(0..10), "a permit is for a slot of the next second");
    assert_eq!(slots, slots_of(10..200), "later slots follow one after another");
    let [permits, late] = given(true, 2).await;
    assert_eq!(permits, slots_of(0..0), "no permit is left");
    assert_eq!(late, slots_of(10..26), "a task that has waited goes ahead of new ones");
}
