//! The invariants and the promises to users. They are checked when the world is idle, from four
//! sources: the requests that receivers got, the answers to users, the tables, and every write to
//! the tables on the way.
//!
//! Only a recorded fault excuses a deviation, such as an attempt that was sent twice, and only if
//! it hit the sender.
//!
//! | file | checks |
//! |---|---|
//! | `deliveries.rs` | that every event reaches its webhooks |
//! | `attempts.rs` | the numbers and times of attempts |
//! | `requests.rs` | the payload, signatures and target of each request, and the answers to publishers |
//! | `reports.rs` | that what happens to webhooks and deliveries is reported once |
//! | `trials.rs` | that a disabled webhook is tried again, once at a time, and recovered by a success |
//! | `filters.rs` | that no event arrives that a filter excludes |
//! | `cancels.rs` | that a cancelled delivery is not attempted again |
//! | `enablings.rs` | that enabling a webhook recovers or cancels what is held, and nothing else |
//! | `unsubscribing.rs` | that what is pending for a type is cancelled when the type is unsubscribed |
//! | `tests_and_retries.rs` | that tests and manual retries are attempted |
//! | `rate_limits.rs` | that rate limits are kept, and that tasks with a slot go first |
//! | `recoveries.rs` | that recoveries enqueue the oldest events first, and that their progress is counted once |
//! | `rotations.rs` | that a rotation with an idempotency key is carried out once, and that a finished one leaves one secret |
//! | `options.rs` | that the options of webhooks have the effect that they promise |
//! | `polls.rs` | that a client that polls receives every event |
//! | `portal.rs` | that a link begins one session, and that a session which is over shows nothing |

mod attempts;
mod cancels;
mod deliveries;
mod enablings;
mod filters;
mod options;
mod polls;
pub(crate) mod portal;
mod rate_limits;
mod recoveries;
mod reports;
mod requests;
mod rotations;
mod tests_and_retries;
mod trials;
mod unsubscribing;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::backoff::Wait;
use domain::delivery::Delivery;
use domain::event_type;
use domain::webhook::Webhook;
use domain::{
    account::AccountId,
    id::{DeliveryId, EventId, WebhookId},
};
use serde_json::{Value, json};
use store::keys;
use strict_aws::call::{Service, plain};

use crate::plan::Plan;
use crate::receivers::Post;
use crate::users::PRODUCER;
use crate::world::{Record, WebhookWrite, World};

/// A stored event.
#[derive(Clone, Debug)]
struct StoredEvent {
    account: AccountId,
    event_type: String,
    /// In base64, as DynamoDB returns it.
    payload: String,
    test: bool,
}

impl StoredEvent {
    fn payload(&self) -> Value {
        let bytes = STANDARD.decode(&self.payload).expect("base64");
        serde_json::from_slice(&bytes).expect("a payload is JSON")
    }

    /// Whether the payload is exactly `body`.
    fn has_payload(&self, body: &[u8]) -> bool {
        self.payload == STANDARD.encode(body)
    }

    /// Returns the number in the event's object, which its publisher made unique.
    fn number(&self) -> Option<i64> {
        self.payload()["data"]["object"]["number"].as_i64()
    }

    /// Whether Hookline itself published it.
    fn is_operational(&self) -> bool {
        event_type::OPERATIONAL.contains(&self.event_type.as_str())
    }

    /// Whether it came through the `events` queue.
    fn is_from_queue(&self) -> bool {
        self.is_operational() || self.payload()["data"]["object"]["by"] == PRODUCER
    }
}

/// All that the checks read.
struct Facts<'a> {
    plan: &'a Plan,
    record: &'a Record,
    end_ms: i64,
    events: BTreeMap<EventId, StoredEvent>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// The webhook of each receiver's host.
    hosts: BTreeMap<String, WebhookId>,
}

/// The violations found.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    /// Adds a violation unless `holds`.
    fn unless(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.0.push(violation());
        }
    }
}

pub(crate) use trials::check_idle;

/// Checks every invariant. Returns the violations.
pub(crate) async fn check(world: &World) -> Vec<String> {
    let (events, deliveries) = (read_events(world).await, read_deliveries(world).await);
    let record = world.record();
    let hosts = record
        .webhooks
        .iter()
        .flat_map(|(id, writes)| writes.iter().filter_map(|write| Some((host_of(write.webhook.as_ref()?)?, *id))));
    let facts = Facts {
        plan: &world.plan,
        end_ms: world.now_ms(),
        events,
        deliveries,
        hosts: hosts.collect(),
        record: &record,
    };
    let mut violations = Violations::default();
    deliveries::check(&facts, &mut violations);
    attempts::check(&facts, &mut violations);
    requests::check(&facts, &mut violations);
    reports::check(&facts, &mut violations);
    trials::check(&facts, &mut violations);
    filters::check(&facts, &mut violations);
    cancels::check(&facts, &mut violations);
    unsubscribing::check(&facts, &mut violations);
    enablings::check(&facts, &mut violations);
    tests_and_retries::check(&facts, &mut violations);
    rate_limits::check(&facts, &mut violations);
    recoveries::check(&facts, &mut violations);
    rotations::check(&facts, &mut violations);
    options::check(&facts, &mut violations);
    polls::check(&facts, &mut violations);
    violations.0
}

/// Reads all items of a table.
async fn scan(world: &World, table: &str) -> Vec<Value> {
    let (mut items, mut request) = (Vec::new(), json!({"TableName": table}));
    loop {
        let mut answer = world.call_aws(Service::DynamoDb, "Scan", &request).await;
        items.append(answer["Items"].as_array_mut().expect("items"));
        match answer["LastEvaluatedKey"].take() {
            Value::Null => return items,
            last => request["ExclusiveStartKey"] = last,
        }
    }
}

async fn read_events(world: &World) -> BTreeMap<EventId, StoredEvent> {
    let items = scan(world, &world.config.tables.events).await;
    let events = items.iter().filter_map(|item| {
        let id = item[keys::ID]["S"].as_str()?.parse().ok()?;
        let partition = item[keys::PARTITION]["S"].as_str()?;
        let event = StoredEvent {
            account: partition.split('#').next()?.parse().ok()?,
            event_type: item["event_type"]["S"].as_str()?.to_owned(),
            payload: item["payload"]["B"].as_str()?.to_owned(),
            test: item["test"]["BOOL"] == true,
        };
        Some((id, event))
    });
    events.collect()
}

async fn read_deliveries(world: &World) -> BTreeMap<DeliveryId, Delivery> {
    let items = scan(world, &world.config.tables.deliveries).await;
    let deliveries = items.iter().map(|item| {
        let delivery: Delivery = serde_json::from_value(plain(item)).expect("a delivery");
        (delivery.delivery, delivery)
    });
    deliveries.collect()
}

/// Returns the host of a webhook's URL, or `None` if the webhook is polled.
fn host_of(webhook: &Webhook) -> Option<String> {
    Some(webhook.url.as_ref()?.as_url().host_str().unwrap_or_default().to_owned())
}

impl Facts<'_> {
    /// Returns the waits of the retry schedule of a webhook, which no user changes.
    fn waits(&self, webhook: WebhookId) -> Vec<Duration> {
        let deployment = self.plan.retry_schedule();
        let registered = self.writes(webhook).iter().find_map(|write| write.webhook.as_ref());
        let schedule = registered.map_or(&deployment, |webhook| webhook.options.retry_schedule(&deployment));
        schedule.waits().map(|wait| wait.parse::<Wait>().expect("a wait").duration()).collect()
    }

    /// Returns the writes of a webhook, in order.
    fn writes(&self, webhook: WebhookId) -> &[WebhookWrite] {
        self.record.webhooks.get(&webhook).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns a webhook as it is at the end.
    fn webhook(&self, webhook: WebhookId) -> Option<&Webhook> {
        self.writes(webhook).last()?.webhook.as_ref()
    }

    /// Returns every state of a webhook from `from_ms` to `to_ms`; `None` while it did not exist.
    fn states(&self, webhook: WebhookId, from_ms: i64, to_ms: i64) -> Vec<Option<&Webhook>> {
        let writes = self.writes(webhook);
        let before = writes.iter().rev().find(|write| write.at_ms < from_ms);
        let within = writes.iter().filter(|write| (from_ms..=to_ms).contains(&write.at_ms));
        std::iter::once(before.and_then(|write| write.webhook.as_ref()))
            .chain(within.map(|write| write.webhook.as_ref()))
            .collect()
    }

    /// Returns the states of the webhook that the sender of a request may have read: those since
    /// its invocation began.
    fn states_for(&self, post: &Post) -> Vec<&Webhook> {
        let Some(webhook) = self.hosts.get(&post.host) else { return vec![] };
        let began_ms = self.record.invocations[&post.invocation];
        self.states(*webhook, began_ms, post.at_ms).into_iter().flatten().collect()
    }

    /// Returns the delivery that a request belongs to.
    fn delivery_of(&self, post: &Post) -> Option<DeliveryId> {
        let webhook = *self.hosts.get(&post.host)?;
        Some(DeliveryId { event: post.header("webhook-id").parse().ok()?, webhook })
    }

    /// Returns the requests of each delivery, in the order of their arrival.
    fn posts(&self) -> BTreeMap<DeliveryId, Vec<&Post>> {
        let mut posts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for post in &self.record.posts {
            if let Some(delivery) = self.delivery_of(post) {
                posts.entry(delivery).or_default().push(post);
            }
        }
        posts
    }

    /// Whether the event expired before the end.
    fn is_expired(&self, event: EventId) -> bool {
        event.made_at().plus(self.plan.retention).unix_ms() <= self.end_ms + self.plan.skew_ms
    }

    /// Returns the largest difference between the clocks of two processes.
    fn skew(&self) -> Duration {
        Duration::from_millis(2 * self.plan.skew_ms as u64)
    }
}
