//! The users and the producers inside AWS. They register webhooks, publish, change, rotate,
//! disable, recover, cancel, delete and open the portal, mostly through the API, and know only what
//! it answers.

mod cancels;
pub(crate) mod filters;
mod polls;
mod portal;
mod recoveries;
mod rotations;
mod subscriptions;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use domain::event_type::{CatalogueEntry, EventType, Sample};
use domain::schema::{Schema, Validation};
use domain::time::Timestamp;
use domain::token::{self, Scope, Token};
use domain::{
    account::AccountId,
    id::{TokenId, WebhookId},
};
use http::Request;
use local::provision::EVENTS;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::{event_types, tokens};
use strict_aws::limits;
use tokio::time::sleep;
use tower::ServiceExt;

use crate::ledger::{DeliveryRequest, Key, Produced, Published};
use crate::processes::{Fleet, Function, Process};
use crate::receivers::{DOMAIN, TOKEN_SERVER};
use crate::world::World;

/// The accounts. The first one has more webhooks and does more.
const ACCOUNTS: [&str; 2] = ["acme", "globex"];
/// The value of `by` in the object of an event from a producer inside AWS.
pub(crate) const PRODUCER: &str = "a producer";
/// How long until an idempotency key may be used for another event: 24 h, and two minutes for
/// clocks that differ.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60 + 120);

/// The most that API Gateway's event adds to the body: headers, the route, the caller.
const ENVELOPE_BYTES: usize = 12 * 1024;

/// Quotes in the object of a large event. Each is two bytes in the event, and four where the event
/// is a string in other JSON.
const QUOTES: usize = 120 * 1024;

/// Events of a large batch. One of another type may be added, and a batch may have a hundred.
const BATCH_LARGE: i64 = 99;

/// An answer of the API.
struct Answer {
    status: u16,
    /// Whether it has the header `Idempotent-Replayed`.
    replayed: bool,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The answer to a batch of events.
#[derive(serde::Deserialize)]
struct Batch {
    data: Vec<Box<RawValue>>,
}

/// All users and producers.
pub(crate) struct Users {
    fleet: Arc<Fleet>,
    world: Arc<World>,
    /// Makes hosts, keys and events unique.
    counter: AtomicI64,
    /// The program that polls a webhook, if there is one.
    poller: tokio::sync::Mutex<Option<polls::Poller>>,
}

/// An action of a user or a producer.
#[derive(Clone, Copy, Debug)]
enum Action {
    Publish,
    PublishWithKey,
    PublishBatch,
    Produce,
    Register,
    Change,
    Resubscribe,
    Disable,
    Enable,
    Recover,
    Rotate,
    Delete,
    Test,
    Retry,
    Cancel,
    Poll,
    Read,
}

/// The actions, and the weight of each.
const ACTIONS: &[(Action, u32)] = &[
    (Action::Publish, 28),
    (Action::PublishWithKey, 12),
    (Action::PublishBatch, 8),
    (Action::Produce, 7),
    (Action::Register, 5),
    (Action::Change, 6),
    (Action::Resubscribe, 4),
    (Action::Disable, 5),
    (Action::Enable, 8),
    (Action::Recover, 10),
    (Action::Rotate, 6),
    (Action::Delete, 3),
    (Action::Test, 5),
    (Action::Retry, 8),
    (Action::Cancel, 6),
    (Action::Poll, 12),
    (Action::Read, 4),
];

/// An event type that is added to the catalogue and removed again.
const CUSTOM_TYPE: &str = "custom.happened";
/// Event types that are always in the catalogue.
const TYPES: &[&str] = &["user.created", "user.updated", "payment.failed", "resource.created"];

impl Users {
    /// Creates a token for each account.
    pub(crate) async fn new(fleet: Arc<Fleet>) -> Arc<Self> {
        let world = Arc::clone(&fleet.world);
        for account in ACCOUNTS {
            let token = Token {
                id: TokenId::derived(Timestamp::EPOCH, account.as_bytes()),
                bound_to: Some(account.parse().expect("a name")),
                scopes: vec![Scope::Manage, Scope::Publish],
                description: None,
                created_at: world.now(),
                hash: token::hash(account),
                session: None,
            };
            let work = |process: Arc<Process>| async move {
                tokens::create(&process.app.store, &token).await.expect("no faults yet");
            };
            fleet.invoke(Function::Api, work).await;
        }
        Arc::new(Self { fleet, world, counter: AtomicI64::new(0), poller: tokio::sync::Mutex::default() })
    }

    /// Registers the first webhooks of each account.
    pub(crate) async fn register_first_webhooks(&self) {
        for _ in 0..self.world.plan.webhooks {
            self.register(ACCOUNTS[0]).await;
        }
        self.register(ACCOUNTS[1]).await;
        self.register_poller().await;
    }

    /// Performs the actions of the plan. An action may begin before earlier ones have ended.
    pub(crate) async fn act(self: &Arc<Self>) {
        let mut actions = tokio::task::JoinSet::new();
        for _ in 0..self.world.plan.actions {
            let action = self.world.dice.weighted(ACTIONS);
            let users = Arc::clone(self);
            actions.spawn(async move { users.perform(action).await });
            let pause_ms = self.world.dice.between(0, self.world.plan.pause_max_ms);
            sleep(Duration::from_millis(pause_ms as u64)).await;
        }
        while let Some(ended) = actions.join_next().await {
            ended.expect("the action does not panic");
        }
        if self.world.plan.large_events {
            self.list_events(ACCOUNTS[0], 100).await;
        }
    }

    async fn perform(&self, action: Action) {
        let dice = &self.world.dice;
        let account = if dice.permille(800) { ACCOUNTS[0] } else { ACCOUNTS[1] };
        match action {
            Action::Publish => {
                self.publish(account, None, &self.new_event()).await;
            }
            Action::PublishWithKey => self.publish_with_key(account).await,
            Action::PublishBatch => self.publish_batch(account).await,
            Action::Produce => self.produce(account).await,
            Action::Register => self.register(account).await,
            Action::Enable => self.enable().await,
            Action::Recover => self.recover().await,
            Action::Retry => self.retry().await,
            Action::Cancel => self.cancel().await,
            Action::Poll => Box::pin(self.poll()).await,
            Action::Change
            | Action::Resubscribe
            | Action::Disable
            | Action::Rotate
            | Action::Delete
            | Action::Test
            | Action::Read => {
                if let Some((account, webhook)) = self.pick_webhook() {
                    self.perform_on(action, &account, webhook).await;
                }
            }
        }
    }

    /// Performs an action on one webhook.
    async fn perform_on(&self, action: Action, account: &AccountId, webhook: WebhookId) {
        let path = format!("/v1/webhooks/{webhook}");
        let (method, path, body) = match action {
            Action::Change => ("PATCH", path, self.new_change(account)),
            Action::Disable => ("PATCH", path, json!({"status": "disabled"})),
            Action::Rotate => return self.rotate(account, webhook).await,
            Action::Delete => ("DELETE", path, Value::Null),
            Action::Test => return self.test(account, webhook).await,
            Action::Resubscribe => return self.resubscribe(account, webhook).await,
            Action::Read if self.world.dice.permille(300) => return self.list_recoveries(account, webhook).await,
            _ => ("GET", self.pick_read(account, webhook), Value::Null),
        };
        self.call_api(account.as_str(), method, &path, body).await;
    }

    /// Picks the path of a read with which a user follows an event.
    fn pick_read(&self, account: &AccountId, webhook: WebhookId) -> String {
        let record = self.world.record();
        let mut events = record.ledger.published.iter().filter(|published| published.account == *account);
        match (self.world.dice.between(0, 2), events.next_back()) {
            (0, _) => format!("/v1/webhooks/{webhook}/deliveries"),
            (1, Some(event)) => format!("/v1/events/{}", event.id),
            _ => "/v1/events?limit=100".to_owned(),
        }
    }

    /// Lists the account's events, newest first, page by page, until the end or until there is no
    /// answer.
    async fn list_events(&self, account: &str, limit: i64) {
        let mut path = format!("/v1/events?limit={limit}");
        while let Some(answer) = self.call_api(account, "GET", &path, Value::Null).await {
            let page = answer.json();
            let Some(cursor) = page["next_cursor"].as_str() else { return };
            path = format!("/v1/events?limit={limit}&cursor={cursor}");
        }
    }

    /// Sends one request. `account` is also the text of its token, and may be that of another token.
    /// Returns `None` if there is no answer.
    async fn call_api(&self, account: &str, method: &str, path: &str, body: Value) -> Option<Answer> {
        self.call_api_with_key(account, (method, path), None, body).await
    }

    /// Sends one request with an idempotency key. Returns `None` if there is no answer.
    async fn call_api_with_key(
        &self,
        account: &str,
        (method, path): (&str, &str),
        key: Option<&Key>,
        body: Value,
    ) -> Option<Answer> {
        self.world.trace(|| format!("{account}: {method} {path} {body}"));
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {account}"));
        let request = request.header("content-type", "application/json").header("host", "api.example.com");
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
        // A code and a session are over sooner or later.
        let is_refused = !ACCOUNTS.contains(&account) && status == Some(401);
        assert!(
            matches!(status, None | Some(200..=299 | 404 | 409 | 429 | 500 | 503)) || is_refused,
            "{method} {path}: {status:?} {:?}",
            answer.map(|answer| answer.body)
        );
        answer
    }

    /// Records a violation if a request or its answer is larger than Lambda allows. API Gateway
    /// hands over a body as a string in JSON.
    fn check_sizes(&self, method: &str, path: &str, sent: &str, answer: Option<&Answer>) {
        let answered = answer.map(|answer| String::from_utf8_lossy(&answer.body)).unwrap_or_default();
        for (what, body) in [("request", sent), ("answer", &*answered)] {
            let bytes = ENVELOPE_BYTES + limits::bytes_as_json_string(body);
            if bytes > limits::PAYLOAD_BYTES_MAX {
                self.world.record_violation(format!("{method} {path}: the {what} would have {bytes} bytes in Lambda"));
            }
        }
    }

    /// Repeats a request until the answer is not an error of the server.
    async fn call_api_until_answered(&self, account: &str, method: &str, path: &str, body: Value) -> Answer {
        loop {
            match self.call_api(account, method, path, body.clone()).await {
                Some(answer) if answer.status < 500 => return answer,
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Returns a number that no other call returns.
    fn next_number(&self) -> i64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    fn pick_webhook(&self) -> Option<(AccountId, WebhookId)> {
        let webhooks = self.world.record().ledger.webhooks.clone();
        (!webhooks.is_empty()).then(|| self.world.dice.pick(&webhooks).clone())
    }

    /// Picks a disabled webhook if there is one, and any webhook otherwise.
    fn pick_disabled_webhook(&self) -> Option<(AccountId, WebhookId)> {
        let mut webhooks = self.world.record().ledger.webhooks.clone();
        webhooks.retain(|(_, id)| self.is_disabled(*id));
        if webhooks.is_empty() { self.pick_webhook() } else { Some(self.world.dice.pick(&webhooks).clone()) }
    }

    fn is_disabled(&self, id: WebhookId) -> bool {
        let record = self.world.record();
        let last = record.webhooks.get(&id).and_then(|writes| writes.last()?.webhook.as_ref());
        last.is_some_and(|webhook| !webhook.is_enabled())
    }

    fn new_url(&self, account: &str) -> String {
        format!("https://r{}.{account}.{DOMAIN}/hook", self.next_number())
    }

    fn pick_subscriptions(&self) -> Value {
        // Among many webhooks that fail, each report to many others would lead to as many more.
        let is_small = self.world.plan.webhooks <= 10;
        let choices: [&[&str]; 4] = [
            &["*"],
            if is_small { &["user.*", "webhook.*", "delivery.failed"] } else { &["user.*"] },
            if is_small { &["user.created", "user.updated", "webhook.disabled"] } else { &["user.created"] },
            &["payment.*", "resource.*"],
        ];
        json!(self.world.dice.pick(&choices))
    }

    async fn register(&self, account: &str) {
        let rate_limit = self.world.dice.permille(self.world.plan.rate_limits).then(|| self.world.dice.between(1, 3));
        let mut body = json!({"url": self.new_url(account), "events": self.pick_subscriptions()});
        if let Some(limit) = rate_limit {
            body["rate_limit"] = json!(limit);
        }
        if self.world.dice.permille(self.world.plan.options) {
            self.set_options(account, &mut body);
        }
        if self.world.dice.permille(250) {
            body["filter"] = filters::draw(&self.world.dice);
        }
        let Some(answer) = self.call_api(account, "POST", "/v1/webhooks", body).await else { return };
        if answer.status == 201 {
            let id = answer.json()["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            self.world.record().ledger.webhooks.push((account.parse().expect("a name"), id));
        }
    }

    /// Gives a webhook options of its own.
    fn set_options(&self, account: &str, body: &mut Value) {
        let dice = &self.world.dice;
        let schedules = [json!(null), json!(["0s", "20s"]), json!(["10s", "16m", "30s", "1s"])];
        body["retry_schedule"] = dice.pick(&schedules).clone();
        body["timeout_seconds"] = json!(dice.pick(&[1, 5, 20]));
        body["disable_on"] = json!(dice.pick(&["failed_delivery", "no_success"]));
        body["auto_recover"] = dice.pick(&[json!(null), json!(true), json!(false)]).clone();
        body["headers"] = json!({"X-Account": account});
        if dice.permille(500) {
            let token_url = format!("https://{TOKEN_SERVER}/token");
            body["auth"] = json!({
                "type": "oauth2", "token_url": token_url, "client_id": account, "client_secret": "s3cret",
            });
        }
    }

    /// Returns the body of a `PATCH` of a webhook.
    fn new_change(&self, account: &AccountId) -> Value {
        let dice = &self.world.dice;
        match dice.between(0, 6) {
            6 => json!({"auto_recover": dice.pick(&[json!(null), json!(true), json!(false)])}),
            4 => json!({"timeout_seconds": dice.pick(&[json!(null), json!(2), json!(20)])}),
            5 => json!({"filter": if dice.permille(700) { filters::draw(dice) } else { Value::Null }}),
            0 => json!({"events": self.pick_subscriptions()}),
            1 => json!({"rate_limit": if dice.permille(500) { json!(dice.between(1, 3)) } else { Value::Null }}),
            2 => json!({"description": self.next_number().to_string()}),
            _ => json!({"url": self.new_url(account.as_str())}),
        }
    }

    fn new_event(&self) -> Value {
        let event_type = *self.world.dice.pick(TYPES);
        let mut event = json!({"type": event_type, "data": {"object": {"number": self.next_number()}}});
        event["data"]["object"][filters::SHADE] = json!(self.world.dice.pick(filters::SHADES));
        if self.world.plan.large_events {
            event["data"]["object"]["quotes"] = json!("\"".repeat(QUOTES));
        }
        event
    }

    /// Publishes an event. Returns whether it was accepted.
    async fn publish(&self, account: &str, key: Option<&Key>, event: &Value) -> bool {
        let began_ms = self.world.now_ms();
        let answer = self.call_api_with_key(account, ("POST", "/v1/events"), key, event.clone()).await;
        let Some(answer) = answer else { return false };
        if answer.status == 202 {
            self.record_published(account, began_ms, key, (answer.replayed, answer.body.clone()));
        }
        answer.status == 202
    }

    fn record_published(&self, account: &str, began_ms: i64, key: Option<&Key>, (replayed, answer): (bool, Bytes)) {
        let payload = without_warnings(&answer);
        let event: Value = serde_json::from_slice(&payload).expect("an event");
        let published = Published {
            account: account.parse().expect("a name"),
            id: event["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"),
            event_type: event["type"].as_str().expect("a type").to_owned(),
            payload,
            answer,
            began_ms,
            answered_ms: self.world.now_ms(),
            key: key.cloned(),
            replayed,
        };
        self.world.record().ledger.published.push(published);
    }

    fn new_key(&self) -> Key {
        Key { name: format!("key {}", self.next_number()), first_ms: self.world.now_ms() }
    }

    /// Publishes an event with an idempotency key. Repeats the request until a 202, sometimes once
    /// more after it, and sometimes again when the key has expired.
    async fn publish_with_key(&self, account: &str) {
        let (key, event) = (self.new_key(), self.new_event());
        for _ in 0..4 {
            let is_accepted = self.publish(account, Some(&key), &event).await;
            if is_accepted && !self.world.dice.permille(400) {
                break;
            }
            sleep(Duration::from_millis(self.world.dice.between(10, 20_000) as u64)).await;
        }
        if self.world.dice.permille(300) {
            sleep(KEY_LIFETIME).await;
            let key = Key { first_ms: self.world.now_ms(), ..key };
            self.publish(account, Some(&key), &event).await;
        }
    }

    /// Publishes a batch of events. Sometimes repeats it with an idempotency key, while the
    /// catalogue gains, changes or loses the type of one of the events.
    async fn publish_batch(&self, account: &str) {
        let dice = &self.world.dice;
        let count = match dice.between(0, 999) {
            // Together with earlier events, a large batch is more than a recovery reads at once. It
            // is left out if the account has many webhooks, because each of them would get a
            // hundred deliveries.
            _ if self.world.plan.large_events => dice.between(1, 6),
            value if self.world.plan.webhooks <= 3 && value < self.world.plan.large_batches => BATCH_LARGE,
            0..200 => dice.between(8, 14),
            _ => dice.between(1, 3),
        };
        let mut events: Vec<_> = (0..count).map(|_| self.new_event()).collect();
        if dice.permille(250) {
            events.insert(0, json!({"type": CUSTOM_TYPE, "data": {"object": {"number": self.next_number()}}}));
        }
        let body = json!({"events": events});
        let key = dice.permille(400).then(|| self.new_key());
        for _ in 0..if key.is_some() { 3 } else { 1 } {
            let began_ms = self.world.now_ms();
            let answer =
                self.call_api_with_key(account, ("POST", "/v1/events/batch"), key.as_ref(), body.clone()).await;
            if let Some(answer) = answer.filter(|answer| answer.status == 202) {
                let batch: Batch = serde_json::from_slice(&answer.body).expect("a batch");
                for (index, result) in batch.data.iter().enumerate().filter(|(_, result)| is_event(result)) {
                    let key = key.as_ref().map(|key| Key { name: format!("{} {index}", key.name), ..key.clone() });
                    let payload = Bytes::from(result.get().to_owned());
                    self.record_published(account, began_ms, key.as_ref(), (answer.replayed, payload));
                }
            }
            if key.is_some() {
                self.change_catalogue().await;
                sleep(Duration::from_millis(dice.between(10, 20_000) as u64)).await;
            }
        }
    }

    /// Adds the custom type to the catalogue, changes it or removes it. Under faults, each may fail.
    /// Its events do not fit its schema.
    async fn change_catalogue(&self) {
        let validation = match self.world.dice.between(0, 5) {
            0 => Some(Validation::Off),
            1 => Some(Validation::Warn),
            2 => Some(Validation::Enforce),
            _ => None,
        };
        let work = |process: Arc<Process>| async move {
            let name: EventType = CUSTOM_TYPE.parse().expect("a name");
            let Some(validation) = validation else {
                return event_types::delete(&process.app.store, &name).await.is_ok();
            };
            let object = RawValue::from_string("{}".to_owned()).expect("JSON");
            let entry = CatalogueEntry {
                schema: Some(Schema::stored(r#"{"required":["id"]}"#.to_owned()).expect("JSON")),
                validation,
                ..CatalogueEntry::new(name, "", Sample { object, previous_data: None })
            };
            event_types::put(&process.app.store, &entry).await.is_ok()
        };
        self.fleet.invoke(Function::Api, work).await;
    }

    /// Puts an event on the `events` queue, as a producer inside AWS. Sometimes puts it there
    /// twice, with an idempotency key.
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
            event["idempotency_key"] = json!(format!("key {}", self.next_number()));
            self.world.send(EVENTS, &event.to_string()).await;
            sleep(Duration::from_millis(self.world.dice.between(0, 60_000) as u64)).await;
        }
        self.world.send(EVENTS, &event.to_string()).await;
    }

    /// Puts an event on the `events` queue with a delay, and lists the account's events when the
    /// delay ends. The event is then stored under an id as old as the message, and a page that is
    /// read without consistency may lack it.
    async fn produce_late(&self, account: &str, event: &Value) {
        let dice = &self.world.dice;
        let delay_s = dice.between(60, 120);
        self.world.send_later(EVENTS, &event.to_string(), delay_s).await;
        sleep(Duration::from_millis((delay_s * 1_000 + dice.between(0, 1_000)) as u64)).await;
        self.list_events(account, dice.between(1, 2)).await;
    }

    /// Enables a webhook. What is held is recovered or cancelled.
    async fn enable(&self) {
        let Some((account, webhook)) = self.pick_disabled_webhook() else { return };
        let held = [Value::Null, json!("recover"), json!("cancel")];
        let mut body = json!({"status": "enabled", "held": self.world.dice.pick(&held)});
        if body["held"].is_null() {
            body = json!({"status": "enabled"});
        }
        self.call_api(account.as_str(), "PATCH", &format!("/v1/webhooks/{webhook}"), body).await;
    }

    /// Asks for a test delivery.
    async fn test(&self, account: &AccountId, webhook: WebhookId) {
        let began_ms = self.world.now_ms();
        let body = json!({"webhook_id": webhook, "event_type": "user.created"});
        let Some(answer) = self.call_api(account.as_str(), "POST", "/v1/webhooks/test", body).await else { return };
        if answer.status == 202 {
            let delivery = answer.json()["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            self.world.record().ledger.tested.push(DeliveryRequest { delivery, began_ms });
        }
    }

    /// Asks for a manual retry of any delivery.
    async fn retry(&self) {
        let deliveries: Vec<_> = {
            let record = self.world.record();
            let written = record.deliveries.iter().map(|write| &write.delivery);
            written.map(|delivery| (delivery.account.clone(), delivery.delivery)).collect()
        };
        if deliveries.is_empty() {
            return;
        }
        let (account, delivery) = self.world.dice.pick(&deliveries).clone();
        let began_ms = self.world.now_ms();
        let path = format!("/v1/deliveries/{delivery}/retry");
        let Some(answer) = self.call_api(account.as_str(), "POST", &path, Value::Null).await else { return };
        if answer.status == 202 {
            self.world.record().ledger.retried.push(DeliveryRequest { delivery, began_ms });
        }
    }
}

/// Whether the result of an entry of a batch is an event, and not a problem.
fn is_event(result: &RawValue) -> bool {
    serde_json::from_str::<Value>(result.get()).is_ok_and(|result| result["id"].is_string())
}

/// Returns the event of an answer, which warnings may follow.
fn without_warnings(answer: &Bytes) -> Bytes {
    let text = std::str::from_utf8(answer).expect("JSON");
    match text.rfind(",\"warnings\":") {
        Some(end) => format!("{}}}", &text[..end]).into(),
        None => answer.clone(),
    }
}
