//! The invariants of the design and the promises to users, checked when all is quiet: from the receivers' own logs,
//! from what users were answered, from the tables, and from every write that the tables took on the way.
//!
//! An excuse (for an attempt sent twice, say) is a fault on record that hit the one who needs it; there is no other.

mod asked;
mod attempts;
mod disablings;
mod pace;
mod reach;
mod recoveries;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookline::delivery::Delivery;
use hookline::event_type;
use hookline::id::{AccountId, DeliveryId, EventId, WebhookId};
use hookline::store::keys;
use hookline::webhook::Webhook;
use serde_json::{Value, json};
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
    /// Base64, as DynamoDB has it.
    payload: String,
    test: bool,
}

impl StoredEvent {
    fn payload(&self) -> Value {
        let bytes = STANDARD.decode(&self.payload).expect("base64");
        serde_json::from_slice(&bytes).expect("a payload is JSON")
    }

    /// What its publisher counted it as.
    fn number(&self) -> Option<i64> {
        self.payload()["data"]["object"]["number"].as_i64()
    }

    /// Whether it came by the `events` queue.
    fn is_from_queue(&self) -> bool {
        self.event_type == event_type::WEBHOOK_DISABLED || self.payload()["data"]["object"]["by"] == PRODUCER
    }
}

/// All that is known at the end.
struct Facts<'a> {
    plan: &'a Plan,
    record: &'a Record,
    end_ms: i64,
    events: BTreeMap<EventId, StoredEvent>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// Whose each receiver is.
    hosts: BTreeMap<String, WebhookId>,
}

/// What was found to be wrong.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    /// Notes what is wrong unless `holds`.
    fn unless(&mut self, holds: bool, wrong: impl FnOnce() -> String) {
        if !holds {
            self.0.push(wrong());
        }
    }
}

/// Checks every invariant; gives what is violated.
pub(crate) async fn check(world: &World) -> Vec<String> {
    let (events, deliveries) = (events(world).await, deliveries(world).await);
    let record = world.record();
    let hosts = record.webhooks.iter().flat_map(|(id, writes)| {
        writes.iter().filter_map(|write| write.webhook.as_ref()).map(|webhook| (host_of(webhook), *id))
    });
    let facts = Facts {
        plan: &world.plan,
        end_ms: world.now_ms(),
        events,
        deliveries,
        hosts: hosts.collect(),
        record: &record,
    };
    let mut violations = Violations::default();
    reach::check(&facts, &mut violations);
    attempts::check(&facts, &mut violations);
    requests::check(&facts, &mut violations);
    disablings::check(&facts, &mut violations);
    asked::check(&facts, &mut violations);
    pace::check(&facts, &mut violations);
    recoveries::check(&facts, &mut violations);
    violations.0
}

async fn items(world: &World, table: &str) -> Vec<Value> {
    let (mut items, mut request) = (Vec::new(), json!({"TableName": table}));
    loop {
        let mut answer = world.ask(Service::DynamoDb, "Scan", &request).await;
        items.append(answer["Items"].as_array_mut().expect("items"));
        match answer["LastEvaluatedKey"].take() {
            Value::Null => return items,
            last => request["ExclusiveStartKey"] = last,
        }
    }
}

async fn events(world: &World) -> BTreeMap<EventId, StoredEvent> {
    let items = items(world, &world.config.events_table).await;
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

async fn deliveries(world: &World) -> BTreeMap<DeliveryId, Delivery> {
    let items = items(world, &world.config.deliveries_table).await;
    let deliveries = items.iter().map(|item| {
        let delivery: Delivery = serde_json::from_value(plain(item)).expect("a delivery");
        (delivery.delivery, delivery)
    });
    deliveries.collect()
}

/// The host of a webhook's URL.
fn host_of(webhook: &Webhook) -> String {
    webhook.url.as_url().host_str().unwrap_or_default().to_owned()
}

impl Facts<'_> {
    fn writes(&self, webhook: WebhookId) -> &[WebhookWrite] {
        self.record.webhooks.get(&webhook).map(Vec::as_slice).unwrap_or_default()
    }

    /// The webhook at the end.
    fn webhook(&self, webhook: WebhookId) -> Option<&Webhook> {
        self.writes(webhook).last()?.webhook.as_ref()
    }

    /// Every state that the webhook was in from `from_ms` to `to_ms`; `None` where there was none.
    fn states(&self, webhook: WebhookId, from_ms: i64, to_ms: i64) -> Vec<Option<&Webhook>> {
        let writes = self.writes(webhook);
        let before = writes.iter().rev().find(|write| write.at_ms < from_ms);
        let within = writes.iter().filter(|write| (from_ms..=to_ms).contains(&write.at_ms));
        std::iter::once(before.and_then(|write| write.webhook.as_ref()))
            .chain(within.map(|write| write.webhook.as_ref()))
            .collect()
    }

    /// The states that whoever made a request may have read: since its invocation began.
    fn states_for(&self, post: &Post) -> Vec<&Webhook> {
        let Some(webhook) = self.hosts.get(&post.host) else { return vec![] };
        let began_ms = self.record.invocations[&post.invocation];
        self.states(*webhook, began_ms, post.at_ms).into_iter().flatten().collect()
    }

    /// The delivery that a request belongs to.
    fn delivery_of(&self, post: &Post) -> Option<DeliveryId> {
        let webhook = *self.hosts.get(&post.host)?;
        Some(DeliveryId { event: post.header("webhook-id").parse().ok()?, webhook })
    }

    /// The requests of each delivery, in the order of their arrival.
    fn posts(&self) -> BTreeMap<DeliveryId, Vec<&Post>> {
        let mut posts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for post in &self.record.posts {
            if let Some(delivery) = self.delivery_of(post) {
                posts.entry(delivery).or_default().push(post);
            }
        }
        posts
    }

    /// Whether the event's time was up before the end.
    fn is_expired(&self, event: EventId) -> bool {
        event.made_at().plus(self.plan.retention).unix_ms() <= self.end_ms + self.plan.skew_ms
    }

    /// By how much two processes' clocks differ at most.
    fn skew(&self) -> Duration {
        Duration::from_millis(2 * self.plan.skew_ms as u64)
    }
}
