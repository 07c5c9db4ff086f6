//! The users, the platform and the producers in AWS: they register, publish, change, rotate, disable, recover and delete,
//! mostly through the API, and know only what it answers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use hookline::event_type::{CatalogueEntry, EventType, Sample};
use hookline::id::{AccountId, TokenId, WebhookId};
use hookline::store::event_types;
use hookline::store::tokens::{self, Scope, Token};
use hookline::time::Timestamp;
use http::Request;
use local::provision::EVENTS;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use strict_aws::limits;
use tokio::time::sleep;
use tower::ServiceExt;

use crate::ledger::{Asked, Key, Produced, Published, Recovery};
use crate::processes::{Fleet, Function, Process};
use crate::receivers::DOMAIN;
use crate::world::World;

/// The accounts.
const ACCOUNTS: [&str; 2] = ["acme", "globex"];
/// What an event that a producer in AWS made says of itself.
pub(crate) const PRODUCER: &str = "a producer";
/// How long an idempotency key is kept, and a little more than clocks differ.
const KEY_FREE: Duration = Duration::from_secs(24 * 60 * 60 + 120);

/// What API Gateway's event has beside the body, at most: headers, the route, the caller.
const ENVELOPE_BYTES: usize = 12 * 1024;

/// What a large event is filled with: each is two bytes in the event, and four where the event is JSON in JSON.
const QUOTES: usize = 120 * 1024;

/// Events of a large batch: one of another type may be added to them, and a batch may have a hundred.
const BATCH_LARGE: i64 = 99;

/// What the API answered.
struct Answer {
    status: u16,
    replayed: bool,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a batch is answered with.
#[derive(serde::Deserialize)]
struct Batch {
    data: Vec<Box<RawValue>>,
}

/// Everybody outside of Hookline.
pub(crate) struct Users {
    fleet: Arc<Fleet>,
    world: Arc<World>,
    /// Counts hosts, keys and events, so that no two are the same.
    counter: AtomicI64,
}

/// What a user may do.
#[derive(Clone, Copy, Debug)]
enum Action {
    Publish,
    PublishByKey,
    PublishBatch,
    Produce,
    Register,
    Change,
    Disable,
    Enable,
    Recover,
    Rotate,
    Delete,
    Test,
    Retry,
    Read,
}

const ACTIONS: &[(Action, u32)] = &[
    (Action::Publish, 28),
    (Action::PublishByKey, 12),
    (Action::PublishBatch, 8),
    (Action::Produce, 7),
    (Action::Register, 5),
    (Action::Change, 6),
    (Action::Disable, 5),
    (Action::Enable, 8),
    (Action::Recover, 10),
    (Action::Rotate, 6),
    (Action::Delete, 3),
    (Action::Test, 5),
    (Action::Retry, 8),
    (Action::Read, 4),
];

/// A type that is not always in the catalogue.
const CUSTOM_TYPE: &str = "custom.happened";
const TYPES: &[&str] = &["user.created", "user.updated", "payment.failed", "resource.created"];

impl Users {
    /// Gives the accounts their tokens.
    pub(crate) async fn new(fleet: Arc<Fleet>) -> Arc<Self> {
        let world = Arc::clone(&fleet.world);
        for account in ACCOUNTS {
            let token = Token {
                id: TokenId::derived(Timestamp::EPOCH, account.as_bytes()),
                bound_to: Some(account.parse().expect("a name")),
                scopes: vec![Scope::Manage, Scope::Publish],
                description: None,
                created_at: world.now(),
                hash: tokens::hash(account),
            };
            let work = |process: Arc<Process>| async move {
                tokens::create(&process.app, &token).await.expect("nothing fails yet");
            };
            fleet.invoke(Function::Api, work).await;
        }
        Arc::new(Self { fleet, world, counter: AtomicI64::new(0) })
    }

    /// Registers what the run begins with.
    pub(crate) async fn settle_in(&self) {
        for _ in 0..self.world.plan.webhooks {
            self.register(ACCOUNTS[0]).await;
        }
        self.register(ACCOUNTS[1]).await;
    }

    /// Does all that the plan says, one thing after another has begun.
    pub(crate) async fn act(self: &Arc<Self>) {
        let mut under_way = tokio::task::JoinSet::new();
        for _ in 0..self.world.plan.actions {
            let action = self.world.dice.weighted(ACTIONS);
            let users = Arc::clone(self);
            under_way.spawn(async move { users.perform(action).await });
            let pause_ms = self.world.dice.between(0, self.world.plan.pause_max_ms);
            sleep(Duration::from_millis(pause_ms as u64)).await;
        }
        while let Some(done) = under_way.join_next().await {
            done.expect("users do not panic");
        }
        if self.world.plan.large_events {
            self.page_through(ACCOUNTS[0], 100).await;
        }
    }

    async fn perform(&self, action: Action) {
        let dice = &self.world.dice;
        let account = if dice.permille(800) { ACCOUNTS[0] } else { ACCOUNTS[1] };
        match action {
            Action::Publish => {
                self.publish(account, None, &self.new_event()).await;
            }
            Action::PublishByKey => self.publish_by_key(account).await,
            Action::PublishBatch => self.publish_batch(account).await,
            Action::Produce => self.produce(account).await,
            Action::Register => self.register(account).await,
            Action::Enable => self.enable_some().await,
            Action::Recover => self.recover_some().await,
            Action::Retry => self.retry().await,
            Action::Change | Action::Disable | Action::Rotate | Action::Delete | Action::Test | Action::Read => {
                if let Some((account, webhook)) = self.some_webhook() {
                    self.perform_on(action, &account, webhook).await;
                }
            }
        }
    }

    async fn perform_on(&self, action: Action, account: &AccountId, webhook: WebhookId) {
        let path = format!("/v1/webhooks/{webhook}");
        let (method, path, body) = match action {
            Action::Change => ("PATCH", path, self.some_change(account)),
            Action::Disable => ("PATCH", path, json!({"status": "disabled"})),
            Action::Rotate => {
                let overlap = *self.world.dice.pick(&[0, 60, 3600, 86_400]);
                ("POST", format!("{path}/rotate-secret"), json!({"overlap_seconds": overlap}))
            }
            Action::Delete => ("DELETE", path, Value::Null),
            Action::Test => return self.test(account, webhook).await,
            _ => ("GET", self.some_reading(account, webhook), Value::Null),
        };
        self.ask(account.as_str(), method, &path, None, body).await;
    }

    /// What somebody looks at who wants to know what became of an event.
    fn some_reading(&self, account: &AccountId, webhook: WebhookId) -> String {
        let record = self.world.record();
        let mut events = record.ledger.published.iter().filter(|published| published.account == *account);
        match (self.world.dice.between(0, 2), events.next_back()) {
            (0, _) => format!("/v1/webhooks/{webhook}/deliveries"),
            (1, Some(event)) => format!("/v1/events/{}", event.id),
            _ => "/v1/events?limit=100".to_owned(),
        }
    }

    /// Lists the account's events from the newest to the oldest, until there is no answer.
    async fn page_through(&self, account: &str, limit: i64) {
        let mut path = format!("/v1/events?limit={limit}");
        while let Some(answer) = self.ask(account, "GET", &path, None, Value::Null).await {
            let page = answer.json();
            let Some(cursor) = page["next_cursor"].as_str() else { return };
            path = format!("/v1/events?limit={limit}&cursor={cursor}");
        }
    }

    /// One request; `None` where no answer came.
    async fn ask(&self, account: &str, method: &str, path: &str, key: Option<&Key>, body: Value) -> Option<Answer> {
        self.world.trace(|| format!("{account}: {method} {path} {body}"));
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {account}"));
        let request = request.header("content-type", "application/json");
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", &key.name));
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.body(Body::from(sent.clone())).expect("a request");
        let work = |process: Arc<Process>| async move {
            let response = process.router.clone().oneshot(request).await.expect("a router cannot fail");
            let status = response.status().as_u16();
            let replayed = response.headers().contains_key("idempotent-replayed");
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            Answer { status, replayed, body }
        };
        let answer = self.fleet.invoke(Function::Api, work).await;
        self.check_sizes(method, path, &sent, answer.as_ref());
        let status = answer.as_ref().map(|answer| answer.status);
        self.world.trace(|| format!("{account}: {method} {path}: {status:?}"));
        assert!(
            matches!(status, None | Some(200..=299 | 404 | 409 | 429 | 500 | 503)),
            "{method} {path}: {status:?} {:?}",
            answer.map(|answer| answer.body)
        );
        answer
    }

    /// Holds a request and its answer to what API Gateway and Lambda hand over: a body is a JSON string in JSON there.
    fn check_sizes(&self, method: &str, path: &str, sent: &str, answer: Option<&Answer>) {
        let answered = answer.map(|answer| String::from_utf8_lossy(&answer.body)).unwrap_or_default();
        for (what, body) in [("request", sent), ("answer", &*answered)] {
            let bytes = ENVELOPE_BYTES + limits::bytes_as_json_string(body);
            if bytes > limits::PAYLOAD_BYTES_MAX {
                self.world.breach(format!("{method} {path}: the {what} would be of {bytes} bytes in Lambda"));
            }
        }
    }

    /// Asks again until there is an answer that tells what became of it.
    async fn ask_until_answered(&self, account: &str, method: &str, path: &str, body: Value) -> Answer {
        loop {
            match self.ask(account, method, path, None, body.clone()).await {
                Some(answer) if answer.status < 500 => return answer,
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn count(&self) -> i64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    fn some_webhook(&self) -> Option<(AccountId, WebhookId)> {
        let webhooks = self.world.record().ledger.webhooks.clone();
        (!webhooks.is_empty()).then(|| self.world.dice.pick(&webhooks).clone())
    }

    /// A webhook that is disabled, if one is, and any one otherwise.
    fn some_disabled_webhook(&self) -> Option<(AccountId, WebhookId)> {
        let mut webhooks = self.world.record().ledger.webhooks.clone();
        webhooks.retain(|(_, id)| self.is_disabled(*id));
        if webhooks.is_empty() { self.some_webhook() } else { Some(self.world.dice.pick(&webhooks).clone()) }
    }

    fn is_disabled(&self, id: WebhookId) -> bool {
        let record = self.world.record();
        let last = record.webhooks.get(&id).and_then(|writes| writes.last()?.webhook.as_ref());
        last.is_some_and(|webhook| !webhook.is_enabled())
    }

    fn url(&self, account: &str) -> String {
        format!("https://r{}.{account}.{DOMAIN}/hook", self.count())
    }

    fn subscriptions(&self) -> Value {
        let some: [&[&str]; 4] =
            [&["*"], &["user.*", "webhook.disabled"], &["user.created", "user.updated"], &["payment.*", "resource.*"]];
        json!(self.world.dice.pick(&some))
    }

    async fn register(&self, account: &str) {
        let rate_limit = self.world.dice.permille(self.world.plan.rate_limits).then(|| self.world.dice.between(1, 3));
        let mut body = json!({"url": self.url(account), "events": self.subscriptions()});
        if let Some(limit) = rate_limit {
            body["rate_limit"] = json!(limit);
        }
        let Some(answer) = self.ask(account, "POST", "/v1/webhooks", None, body).await else { return };
        if answer.status == 201 {
            let id = answer.json()["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            self.world.record().ledger.webhooks.push((account.parse().expect("a name"), id));
        }
    }

    fn some_change(&self, account: &AccountId) -> Value {
        let dice = &self.world.dice;
        match dice.between(0, 3) {
            0 => json!({"events": self.subscriptions()}),
            1 => json!({"rate_limit": if dice.permille(500) { json!(dice.between(1, 3)) } else { Value::Null }}),
            2 => json!({"description": self.count().to_string()}),
            _ => json!({"url": self.url(account.as_str())}),
        }
    }

    fn new_event(&self) -> Value {
        let kind = *self.world.dice.pick(TYPES);
        let mut event = json!({"type": kind, "data": {"object": {"number": self.count()}}});
        if self.world.plan.large_events {
            event["data"]["object"]["quotes"] = json!("\"".repeat(QUOTES));
        }
        event
    }

    /// Publishes; whether it was accepted.
    async fn publish(&self, account: &str, key: Option<&Key>, event: &Value) -> bool {
        let began_ms = self.world.now_ms();
        let Some(answer) = self.ask(account, "POST", "/v1/events", key, event.clone()).await else { return false };
        if answer.status == 202 {
            self.note_published(account, began_ms, key, answer.replayed, answer.body.clone());
        }
        answer.status == 202
    }

    fn note_published(&self, account: &str, began_ms: i64, key: Option<&Key>, replayed: bool, payload: Bytes) {
        let shown: Value = serde_json::from_slice(&payload).expect("an event");
        let published = Published {
            account: account.parse().expect("a name"),
            id: shown["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"),
            event_type: shown["type"].as_str().expect("a type").to_owned(),
            payload,
            began_ms,
            answered_ms: self.world.now_ms(),
            key: key.cloned(),
            replayed,
        };
        self.world.record().ledger.published.push(published);
    }

    fn new_key(&self) -> Key {
        Key { name: format!("key {}", self.count()), first_ms: self.world.now_ms() }
    }

    /// Publishes under a key, again after an answer that was no 202, and sometimes again after one or when the key is free.
    async fn publish_by_key(&self, account: &str) {
        let (key, event) = (self.new_key(), self.new_event());
        for _ in 0..4 {
            let done = self.publish(account, Some(&key), &event).await;
            if done && !self.world.dice.permille(400) {
                break;
            }
            sleep(Duration::from_millis(self.world.dice.between(10, 20_000) as u64)).await;
        }
        if self.world.dice.permille(300) {
            sleep(KEY_FREE).await;
            let key = Key { first_ms: self.world.now_ms(), ..key };
            self.publish(account, Some(&key), &event).await;
        }
    }

    /// Publishes a few events at once, or many, sometimes under a key and again with it, while a type of theirs comes and goes.
    async fn publish_batch(&self, account: &str) {
        let dice = &self.world.dice;
        let count = match dice.between(0, 999) {
            // With others of the account more than a recovery reads at once. Of a wide account each would be a hundred deliveries.
            _ if self.world.plan.large_events => dice.between(1, 6),
            value if self.world.plan.webhooks <= 3 && value < self.world.plan.large_batches => BATCH_LARGE,
            0..200 => dice.between(8, 14),
            _ => dice.between(1, 3),
        };
        let mut events: Vec<_> = (0..count).map(|_| self.new_event()).collect();
        if dice.permille(250) {
            events.insert(0, json!({"type": CUSTOM_TYPE, "data": {"object": {"number": self.count()}}}));
        }
        let body = json!({"events": events});
        let key = dice.permille(400).then(|| self.new_key());
        for _ in 0..if key.is_some() { 3 } else { 1 } {
            let began_ms = self.world.now_ms();
            let answer = self.ask(account, "POST", "/v1/events/batch", key.as_ref(), body.clone()).await;
            if let Some(answer) = answer.filter(|answer| answer.status == 202) {
                let batch: Batch = serde_json::from_slice(&answer.body).expect("a batch");
                for (index, result) in batch.data.iter().enumerate().filter(|(_, result)| is_event(result)) {
                    let key = key.as_ref().map(|key| Key { name: format!("{} {index}", key.name), ..key.clone() });
                    let payload = Bytes::from(result.get().to_owned());
                    self.note_published(account, began_ms, key.as_ref(), answer.replayed, payload);
                }
            }
            if key.is_some() {
                self.change_catalogue().await;
                sleep(Duration::from_millis(dice.between(10, 20_000) as u64)).await;
            }
        }
    }

    /// Puts the custom type in the catalogue, or takes it out; under faults it may do neither.
    async fn change_catalogue(&self) {
        let present = self.world.dice.permille(500);
        let work = |process: Arc<Process>| async move {
            let name: EventType = CUSTOM_TYPE.parse().expect("a name");
            if present {
                let object = RawValue::from_string("{}".to_owned()).expect("JSON");
                let sample = Sample { object, previous_data: None };
                let entry = CatalogueEntry { name, description: String::new(), sample };
                event_types::put(&process.app, &entry).await.is_ok()
            } else {
                event_types::delete(&process.app, &name).await.is_ok()
            }
        };
        self.fleet.invoke(Function::Api, work).await;
    }

    /// Puts an event on the queue from inside AWS, sometimes twice with an idempotency key.
    async fn produce(&self, account: &str) {
        let mut event = self.new_event();
        event["account"] = json!(account);
        event["data"]["object"]["by"] = json!(PRODUCER);
        let number = event["data"]["object"]["number"].as_i64().expect("a number");
        let twice = self.world.dice.permille(300);
        self.world.record().ledger.produced.push(Produced { number });
        if self.world.plan.stale_reads && self.world.dice.permille(500) {
            return self.produce_late(account, &event).await;
        }
        if twice {
            event["idempotency_key"] = json!(format!("key {}", self.count()));
            self.world.send(EVENTS, &event.to_string()).await;
            sleep(Duration::from_millis(self.world.dice.between(0, 60_000) as u64)).await;
        }
        self.world.send(EVENTS, &event.to_string()).await;
    }

    /// Puts an event on the queue that nobody receives for a while, and lists the account's events when that is over: the
    /// event is stored then under an id as old as the message, and a page that need not be consistent may lack it.
    async fn produce_late(&self, account: &str, event: &Value) {
        let dice = &self.world.dice;
        let delay_s = dice.between(60, 120);
        self.world.send_later(EVENTS, &event.to_string(), delay_s).await;
        sleep(Duration::from_millis((delay_s * 1_000 + dice.between(0, 1_000)) as u64)).await;
        self.page_through(account, dice.between(1, 2)).await;
    }

    async fn enable_some(&self) {
        let Some((account, webhook)) = self.some_disabled_webhook() else { return };
        let body = json!({"status": "enabled"});
        self.ask(account.as_str(), "PATCH", &format!("/v1/webhooks/{webhook}"), None, body).await;
    }

    /// Enables a webhook and recovers what it missed.
    async fn recover_some(&self) {
        let Some((account, webhook)) = self.some_disabled_webhook() else { return };
        let body = json!({"status": "enabled"});
        self.ask(account.as_str(), "PATCH", &format!("/v1/webhooks/{webhook}"), None, body).await;
        let (recovery, body) = self.begin_recovery(webhook);
        if let Some(answer) = self.ask(account.as_str(), "POST", &recovery_of(webhook), None, body).await {
            self.note_recovery(recovery, &answer);
        }
    }

    /// Notes a recovery that is about to be asked for; gives its place in the ledger, and the request.
    fn begin_recovery(&self, webhook: WebhookId) -> (usize, Value) {
        let now = self.world.now();
        let since = now.minus(Duration::from_secs(*self.world.dice.pick(&[600, 10 * 24 * 60 * 60])));
        let recovery = Recovery { webhook, since_ms: since.unix_ms(), began_ms: now.unix_ms(), promised: false };
        let recoveries = &mut self.world.record().ledger.recoveries;
        recoveries.push(recovery);
        (recoveries.len() - 1, json!({"since": since.to_string()}))
    }

    fn note_recovery(&self, recovery: usize, answer: &Answer) {
        self.world.record().ledger.recoveries[recovery].promised = answer.status == 202;
    }

    /// Enables and recovers every webhook that is disabled at the end.
    pub(crate) async fn recover_all(&self) {
        let mut webhooks = self.world.record().ledger.webhooks.clone();
        webhooks.retain(|(_, id)| self.is_disabled(*id));
        for (account, webhook) in webhooks {
            let path = format!("/v1/webhooks/{webhook}");
            self.ask_until_answered(account.as_str(), "PATCH", &path, json!({"status": "enabled"})).await;
            let (recovery, body) = self.begin_recovery(webhook);
            let answer = self.ask_until_answered(account.as_str(), "POST", &recovery_of(webhook), body).await;
            self.note_recovery(recovery, &answer);
        }
    }

    async fn test(&self, account: &AccountId, webhook: WebhookId) {
        let began_ms = self.world.now_ms();
        let body = json!({"webhook_id": webhook, "event_type": "user.created"});
        let Some(answer) = self.ask(account.as_str(), "POST", "/v1/webhooks/test", None, body).await else { return };
        if answer.status == 202 {
            let delivery = answer.json()["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            self.world.record().ledger.tested.push(Asked { delivery, began_ms });
        }
    }

    async fn retry(&self) {
        let written: Vec<_> = {
            let record = self.world.record();
            record.deliveries.iter().map(|delivery| (delivery.account.clone(), delivery.delivery)).collect()
        };
        if written.is_empty() {
            return;
        }
        let (account, delivery) = self.world.dice.pick(&written).clone();
        let began_ms = self.world.now_ms();
        let path = format!("/v1/deliveries/{delivery}/retry");
        let Some(answer) = self.ask(account.as_str(), "POST", &path, None, Value::Null).await else { return };
        if answer.status == 202 {
            self.world.record().ledger.retried.push(Asked { delivery, began_ms });
        }
    }
}

/// Whether the result of a batch's entry is an event: the others are problems.
fn is_event(result: &RawValue) -> bool {
    serde_json::from_str::<Value>(result.get()).is_ok_and(|shown| shown["id"].is_string())
}

fn recovery_of(webhook: WebhookId) -> String {
    format!("/v1/webhooks/{webhook}/recover")
}
