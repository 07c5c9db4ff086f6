//! The read units of a list are bounded, whatever its filter excludes and however large its items
//! are.

use std::sync::{Arc, Mutex, PoisonError};

use application::App;
use aws_sdk_dynamodb::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::ConsumedCapacity;
use domain::event::{Event, NewEvent};
use domain::time::Timestamp;
use domain::{account::AccountId, id::EventId};
use futures::future::try_join_all;
use serde_json::value::RawValue;
use store::events::{self, Window};

use crate::harness::world::{World, acme};

const EVENTS: usize = 2_000;
const EVENT_BYTES: usize = 10_000;
/// The read units that one answer may use, and what its last run of queries may add.
const UNITS_MAX: f64 = 500.0 + 100.0;

/// The read units that a client's queries consumed, and the number of items that they returned.
#[derive(Clone, Debug, Default)]
struct Meter(Arc<Mutex<(f64, usize)>>);

impl Meter {
    /// Returns the totals since the last call.
    fn take(&self) -> (f64, usize) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "meter"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Ok(output) = context.output_or_error()
            && let Some(found) = output.downcast_ref::<QueryOutput>()
        {
            let units = found.consumed_capacity().and_then(ConsumedCapacity::capacity_units);
            let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            used.0 += units.expect("a list asks for the consumed capacity");
            used.1 += found.items().len();
        }
        Ok(())
    }
}

/// The same app with its queries metered.
fn metered(app: &App) -> (App, Meter) {
    let meter = Meter::default();
    let config = app.store.dynamodb.config().to_builder().interceptor(meter.clone());
    let mut app = app.clone();
    app.store.dynamodb = aws_sdk_dynamodb::Client::from_conf(config.build());
    (app, meter)
}

/// Stores events of 10 KB, one a second until now. Only the oldest is a `user.updated`.
async fn store(app: &App, account: &AccountId) -> Vec<EventId> {
    let object = format!(r#"{{"text":"{}"}}"#, "x".repeat(EVENT_BYTES));
    let now_ms = app.clock.now().unix_ms();
    let events = (0..EVENTS).map(|index| {
        let event_type = if index == 0 { "user.updated" } else { "user.created" };
        let object = RawValue::from_string(object.clone()).expect("JSON");
        let new = NewEvent { event_type: event_type.parse().expect("a name"), object, previous_data: None };
        let made_at = Timestamp::from_unix_ms(now_ms - (EVENTS - index) as i64 * 1000);
        Event::new(account.clone(), EventId::new(made_at, &app.random), &new)
    });
    let events: Vec<_> = events.collect();
    try_join_all(events.iter().map(|event| events::put(&app.store, event))).await.expect("stored");
    events.iter().map(|event| event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_stays_within_its_read_units() {
    let (world, account) = (World::new().await, acme());
    let stored = store(&world.app, &account).await;
    let (app, meter) = metered(&world.app);

    let page = events::list(&app.store, &account, None, None, 20).await.expect("a page");
    assert_eq!(
        page.items.iter().map(|event| event.id).collect::<Vec<_>>(),
        stored.iter().rev().take(20).copied().collect::<Vec<_>>()
    );
    let (units, read) = meter.take();
    assert!(read <= 3 * 20 && units <= 3.0 * 20.0 * 2.6, "{read} items and {units} units for a page of twenty");

    // The filter matches one event of two thousand: most pages are empty, and each stays within its
    // read units.
    let wanted = "user.updated".parse().expect("a name");
    let (mut found, mut after, mut all_units, mut pages) = (vec![], None, 0.0, 0);
    loop {
        let page = events::list(&app.store, &account, Some(&wanted), after, 20).await.expect("a page");
        let (units, _) = meter.take();
        assert!(units <= UNITS_MAX, "{units} units for one answer");
        all_units += units;
        pages += 1;
        found.extend(page.items.iter().map(|event| event.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [stored[0]]);
    assert!(pages > 3, "5,000 units are more than one answer may use");
    assert!(all_units <= 5_000.0 * 1.5, "{all_units} units to read everything once");

    let window = Window { first: stored[0], last: stored[EVENTS - 1], payloads: false };
    let page = events::oldest_first(&app.store, &account, window, None, 100).await.expect("a page");
    assert_eq!(page.items.iter().map(|event| event.summary.id).collect::<Vec<_>>(), stored[..page.items.len()]);
    let (units, _) = meter.take();
    assert!(page.items.len() >= 90 && units <= UNITS_MAX, "{units} units for {} events", page.items.len());
}
