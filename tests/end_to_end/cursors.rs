//! A cursor goes on exactly where its page ended, whatever the pages' size, the spread over shards, and what comes meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use hookline::app::App;
use hookline::event::{Event, NewEvent};
use hookline::id::{AccountId, EventId};
use hookline::store::{events, sharded::Page};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::simulated_day::World;

const TYPES: [&str; 3] = ["user.created", "user.updated", "payment.failed"];
/// The events of a case were made within this many milliseconds: few enough for some to share one.
const SPREAD_MS: u64 = 40;

/// What an event is drawn as: when it was made, and its type.
type Drawn = (u64, usize);

fn drawn() -> impl Strategy<Value = Drawn> {
    (0..SPREAD_MS, 0..TYPES.len())
}

/// Stores events made `after_ms` and later from the world's beginning.
async fn store(app: &App, account: &AccountId, drawn: &[Drawn], after_ms: u64) -> Vec<Event> {
    let mut stored = Vec::new();
    for (at_ms, kind) in drawn {
        let made_at = app.clock.now().plus(Duration::from_millis(after_ms + at_ms));
        let object = RawValue::from_string("{}".to_owned()).expect("JSON");
        let new = NewEvent { event_type: TYPES[*kind].parse().expect("a name"), object, previous_data: None };
        let event = Event::new(account.clone(), EventId::new(made_at, &app.random), &new);
        events::put(app, &event).await.expect("stored");
        stored.push(event);
    }
    stored
}

/// The ids that page after page of at most `limit` lists.
async fn walk(limit: usize, mut page_after: impl AsyncFnMut(Option<EventId>) -> Page<EventId>) -> Vec<EventId> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = page_after(after).await;
        assert!(page.items.len() <= limit);
        listed.extend(page.items);
        let Some(next) = page.next else { return listed };
        // As a client sends it back.
        after = Some(next.to_string().parse().expect("a cursor"));
    }
}

/// A page of the ids alone.
fn ids<T>(page: Page<T>, id: impl Fn(&T) -> EventId) -> Page<EventId> {
    Page { items: page.items.iter().map(id).collect(), next: page.next }
}

/// A world, and an account that nobody has used.
fn run<T>(case: impl AsyncFnOnce(&App, &AccountId) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { case(&World::new().await.app, &"acme".parse().expect("an account")).await })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn newest_first_lists_each_once_while_more_come(
        first in vec(drawn(), 0..60),
        later in vec(drawn(), 0..10),
        limit in 1_usize..15,
        filter in prop::option::of(0..TYPES.len()),
    ) {
        let filter = filter.map(|kind| TYPES[kind].parse().expect("a name"));
        let (listed, expected) = run(async |app, account| {
            let stored = store(app, account, &first, 0).await;
            let expected = stored.iter().filter(|event| filter.as_ref().is_none_or(|wanted| event.event_type == *wanted));
            let expected: BTreeSet<_> = expected.map(|event| event.id).collect();
            let listed = walk(limit, async |after| {
                let page = events::list(app, account, filter.as_ref(), after, limit).await.expect("listed");
                if after.is_none() {
                    store(app, account, &later, SPREAD_MS).await;
                }
                ids(page, |event| event.id)
            });
            let listed = listed.await;
            (listed, expected)
        });
        prop_assert_eq!(listed, expected.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn oldest_first_keeps_to_its_window(
        all in vec(drawn(), 0..60),
        from_ms in 0..SPREAD_MS,
        length_ms in 0..SPREAD_MS,
        limit in 1_usize..15,
    ) {
        let (listed, expected) = run(async |app, account| {
            let first_at = |ms| EventId::first_at(app.clock.now().plus(Duration::from_millis(ms)));
            let window = (first_at(from_ms), first_at(from_ms + length_ms));
            let stored = store(app, account, &all, 0).await.into_iter().map(|event| event.id);
            let expected: BTreeSet<_> = stored.filter(|id| (window.0..=window.1).contains(id)).collect();
            let listed = walk(limit, async |after| {
                ids(events::oldest_first(app, account, window, after, limit).await.expect("listed"), |event| event.id)
            });
            let listed = listed.await;
            (listed, expected)
        });
        prop_assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
    }
}
