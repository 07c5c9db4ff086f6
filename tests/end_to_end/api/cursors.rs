//! A cursor continues exactly where its page ended, whatever the page size, the spread over shards,
//! and what is stored meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use application::App;
use domain::event::{Event, NewEvent};
use domain::page::Page;
use domain::{account::AccountId, id::EventId};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;
use store::events::{self, Window};

use crate::harness::world::{World, acme};

const TYPES: [&str; 3] = ["user.created", "user.updated", "payment.failed"];
/// The events of a case are made within so few milliseconds that some share one.
const SPREAD_MS: u64 = 40;

/// A generated event: when it was made, in milliseconds, and the index of its type.
type Generated = (u64, usize);

fn generated() -> impl Strategy<Value = Generated> {
    (0..SPREAD_MS, 0..TYPES.len())
}

/// Stores events made `after_ms` and later, counted from the world's start.
async fn store(app: &App, account: &AccountId, generated: &[Generated], after_ms: u64) -> Vec<Event> {
    let mut stored = Vec::new();
    for (at_ms, kind) in generated {
        let made_at = app.clock.now().plus(Duration::from_millis(after_ms + at_ms));
        let object = RawValue::from_string("{}".to_owned()).expect("JSON");
        let new = NewEvent { event_type: TYPES[*kind].parse().expect("a name"), object, previous_data: None };
        let event = Event::new(account.clone(), EventId::new(made_at, &app.random), &new);
        events::put(&app.store, &event).await.expect("stored");
        stored.push(event);
    }
    stored
}

/// Reads all pages of at most `limit` items; returns their ids.
async fn walk(
    limit: usize,
    mut page_after: impl AsyncFnMut(Option<EventId>) -> Page<EventId, EventId>,
) -> Vec<EventId> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = page_after(after).await;
        assert!(page.items.len() <= limit);
        listed.extend(page.items);
        let Some(next) = page.next else { return listed };
        // A client sends the cursor back as text.
        after = Some(next.to_string().parse().expect("a cursor"));
    }
}

/// The same page with only the ids of its items.
fn ids<T>(page: Page<T, EventId>, id: impl Fn(&T) -> EventId) -> Page<EventId, EventId> {
    page.map(|item| id(&item))
}

/// Runs a case in a world of its own.
fn run<T>(case: impl AsyncFnOnce(&App, &AccountId) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { case(&World::new().await.app, &acme()).await })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn newest_first_lists_each_event_once_while_more_are_stored(
        first in vec(generated(), 0..60),
        later in vec(generated(), 0..10),
        limit in 1_usize..15,
        filter in prop::option::of(0..TYPES.len()),
    ) {
        let filter = filter.map(|kind| TYPES[kind].parse().expect("a name"));
        let (listed, expected) = run(async |app, account| {
            let stored = store(app, account, &first, 0).await;
            let expected = stored.iter().filter(|event| filter.as_ref().is_none_or(|wanted| event.event_type == *wanted));
            let expected: BTreeSet<_> = expected.map(|event| event.id).collect();
            let listed = walk(limit, async |after| {
                let page = events::list(&app.store, account, filter.as_ref(), after, limit).await.expect("listed");
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
    fn oldest_first_lists_only_the_events_of_its_window(
        all in vec(generated(), 0..60),
        from_ms in 0..SPREAD_MS,
        length_ms in 0..SPREAD_MS,
        limit in 1_usize..15,
    ) {
        let (listed, expected) = run(async |app, account| {
            let first_at = |ms| EventId::first_at(app.clock.now().plus(Duration::from_millis(ms)));
            let (first, last) = (first_at(from_ms), first_at(from_ms + length_ms));
            let window = Window { first, last, payloads: false };
            let stored = store(app, account, &all, 0).await.into_iter().map(|event| event.id);
            let expected: BTreeSet<_> = stored.filter(|id| (first..=last).contains(id)).collect();
            let listed = walk(limit, async |after| {
                ids(events::oldest_first(&app.store, account, window, after, limit).await.expect("listed"), |event| event.summary.id)
            });
            let listed = listed.await;
            (listed, expected)
        });
        prop_assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
    }
}
