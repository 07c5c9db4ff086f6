//! The users and the platform: they register, publish, change, rotate, disable, recover and delete, all through the API, and
//! know only what it answers them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use hookline::id::{AccountId, EventId, TokenId, WebhookId};
use hookline::store::tokens::{self, Scope, Token};
use hookline::time::Timestamp;
use http::Request;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::ServiceExt;

use crate::processes::{Fleet, Function};
use crate::receivers::DOMAIN;
use crate::world::World;

/// The accounts.
pub(crate) const ACCOUNTS: [&str; 2] = ["acme", "globex"];

/// What users have been promised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) published: Vec<Published>,
    pub(crate) recoveries: Vec<Recovery>,
    pub(crate) tested: Vec<String>,
    /// Webhooks whose registration was answered, and those that a 201 was missed for are not among them.
    pub(crate) webhooks: Vec<(AccountId, WebhookId)>,
    /// Deliveries that a retry was accepted for.
    pub(crate) retried: Vec<String>,
    hosts: u32,
    keys: u32,
}

/// An event that a 202 was given for.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) account: AccountId,
    pub(crate) id: EventId,
    pub(crate) event_type: String,
    pub(crate) payload: Bytes,
    /// When the request that was answered began, and when its answer came.
    pub(crate) began_ms: i64,
    pub(crate) answered_ms: i64,
    /// The idempotency key, with the moment of its first use.
    pub(crate) key: Option<(String, i64)>,
    pub(crate) replayed: bool,
}

/// A recovery that a 202 was given for.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) webhook: WebhookId,
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    pub(crate) began_ms: i64,
}

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
    data: Vec<Box<serde_json::value::RawValue>>,
}

/// Everybody outside of Hookline.
pub(crate) struct Users {
    fleet: Arc<Fleet>,
    world: Arc<World>,
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
    (Action::Publish, 30),
    (Action::PublishByKey, 12),
    (Action::PublishBatch, 8),
    (Action::Produce, 6),
    (Action::Register, 5),
    (Action::Change, 6),
    (Action::Disable, 5),
    (Action::Enable, 8),
    (Action::Recover, 8),
    (Action::Rotate, 5),
    (Action::Delete, 3),
    (Action::Test, 4),
    (Action::Retry, 8),
    (Action::Read, 5),
];

/// What an event that a producer in AWS made says of itself.
pub(crate) const PRODUCER: &str = "a producer";

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
            let work = |process: Arc<crate::processes::Process>| async move {
                tokens::create(&process.app, &token).await.expect("nothing fails yet");
            };
            fleet.invoke(Function::Api, work).await;
        }
        Arc::new(Self { fleet, world })
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
    }

    async fn perform(&self, action: Action) {
        let dice = &self.world.dice;
        let account = if dice.permille(800) { ACCOUNTS[0] } else { ACCOUNTS[1] };
        match action {
            Action::Publish => self.publish(account, None).await,
            Action::PublishByKey => self.publish_by_key(account).await,
            Action::PublishBatch => self.publish_batch(account).await,
            Action::Produce => self.produce(account).await,
            Action::Register => self.register(account).await,
            Action::Recover => self.recover().await,
            Action::Change => self.change_something().await,
            Action::Disable => self.change(json!({"status": "disabled"})).await,
            Action::Enable => self.change(json!({"status": "enabled"})).await,
            Action::Rotate => {
                let Some((account, webhook)) = self.some_webhook() else { return };
                let overlap = *dice.pick(&[0, 60, 3600, 86_400]);
                let path = format!("/v1/webhooks/{webhook}/rotate-secret");
                self.ask(account.as_str(), "POST", &path, None, json!({"overlap_seconds": overlap})).await;
            }
            Action::Delete => {
                let Some((account, webhook)) = self.some_webhook() else { return };
                self.ask(account.as_str(), "DELETE", &format!("/v1/webhooks/{webhook}"), None, Value::Null).await;
            }
            Action::Test => self.test().await,
            Action::Retry => self.retry().await,
            Action::Read => {
                let Some((account, webhook)) = self.some_webhook() else { return };
                self.ask(account.as_str(), "GET", &format!("/v1/webhooks/{webhook}/deliveries"), None, Value::Null)
                    .await;
            }
        }
    }

    /// One request; `None` where no answer came.
    async fn ask(&self, account: &str, method: &str, path: &str, key: Option<&str>, body: Value) -> Option<Answer> {
        self.world.trace(|| format!("{account}: {method} {path} {body}"));
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {account}"));
        let request = request.header("content-type", "application/json");
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = request.body(body).expect("a request");
        let work = |process: Arc<crate::processes::Process>| async move {
            let response = process.router.clone().oneshot(request).await.expect("a router cannot fail");
            let (status, replayed) =
                (response.status().as_u16(), response.headers().contains_key("idempotent-replayed"));
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            Answer { status, replayed, body }
        };
        let answer = self.fleet.invoke(Function::Api, work).await;
        self.world.trace(|| match &answer {
            Some(answer) => format!("{account}: {method} {path}: {}", answer.status),
            None => format!("{account}: {method} {path}: no answer"),
        });
        if let Some(answer) = &answer {
            assert!(
                matches!(answer.status, 200..=299 | 404 | 409 | 429 | 500),
                "{method} {path}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
        }
        answer
    }

    fn some_webhook(&self) -> Option<(AccountId, WebhookId)> {
        let webhooks = self.world.record().ledger.webhooks.clone();
        (!webhooks.is_empty()).then(|| self.world.dice.pick(&webhooks).clone())
    }

    fn url(&self, account: &str) -> String {
        let mut record = self.world.record();
        record.ledger.hosts += 1;
        format!("https://r{}.{account}.{DOMAIN}/hook", record.ledger.hosts)
    }

    fn subscriptions(&self) -> Value {
        let some: [&[&str]; 4] =
            [&["*"], &["user.*", "webhook.disabled"], &["user.created", "user.updated"], &["payment.*", "resource.*"]];
        json!(self.world.dice.pick(&some))
    }

    async fn register(&self, account: &str) {
        let rate_limit = self.world.dice.permille(150).then_some(2);
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

    async fn change_something(&self) {
        let Some((account, webhook)) = self.some_webhook() else { return };
        let dice = &self.world.dice;
        let change = match dice.between(0, 2) {
            0 => json!({"events": self.subscriptions()}),
            1 => json!({"rate_limit": if dice.permille(500) { json!(dice.between(1, 3)) } else { Value::Null }}),
            _ => json!({"url": self.url(account.as_str())}),
        };
        self.ask(account.as_str(), "PATCH", &format!("/v1/webhooks/{webhook}"), None, change).await;
    }

    async fn change(&self, body: Value) {
        let Some((account, webhook)) = self.some_webhook() else { return };
        self.ask(account.as_str(), "PATCH", &format!("/v1/webhooks/{webhook}"), None, body).await;
    }

    fn new_event(&self) -> Value {
        let kind = *self.world.dice.pick(TYPES);
        json!({"type": kind, "data": {"object": {"n": self.world.dice.between(0, 1_000_000)}}})
    }

    async fn publish(&self, account: &str, key: Option<(String, i64)>) {
        let event = self.new_event();
        self.publish_as(account, key, &event).await;
    }

    /// Publishes; whether an answer came that says what became of it.
    async fn publish_as(&self, account: &str, key: Option<(String, i64)>, event: &Value) -> bool {
        let began_ms = self.world.now_ms();
        let name = key.as_ref().map(|(name, _)| name.as_str());
        let Some(answer) = self.ask(account, "POST", "/v1/events", name, event.clone()).await else { return false };
        if answer.status == 202 {
            self.note_published(account, began_ms, key, answer.replayed, answer.body.clone());
        }
        answer.status == 202
    }

    fn note_published(&self, account: &str, began_ms: i64, key: Option<(String, i64)>, replayed: bool, payload: Bytes) {
        let shown: Value = serde_json::from_slice(&payload).expect("an event");
        let published = Published {
            account: account.parse().expect("a name"),
            id: shown["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"),
            event_type: shown["type"].as_str().expect("a type").to_owned(),
            payload,
            began_ms,
            answered_ms: self.world.now_ms(),
            key,
            replayed,
        };
        self.world.record().ledger.published.push(published);
    }

    /// Publishes under a key, again after an answer that was no 202, and sometimes again after one or when the key is free.
    async fn publish_by_key(&self, account: &str) {
        let name = {
            let mut record = self.world.record();
            record.ledger.keys += 1;
            format!("key {}", record.ledger.keys)
        };
        let (event, first_ms) = (self.new_event(), self.world.now_ms());
        for _ in 0..4 {
            let done = self.publish_as(account, Some((name.clone(), first_ms)), &event).await;
            if done && !self.world.dice.permille(400) {
                break;
            }
            sleep(Duration::from_millis(self.world.dice.between(10, 20_000) as u64)).await;
        }
        if self.world.dice.permille(300) {
            // A day and a little later the key is free.
            sleep(Duration::from_secs(24 * 60 * 60 + 120)).await;
            self.publish_as(account, Some((name, self.world.now_ms())), &event).await;
        }
    }

    async fn publish_batch(&self, account: &str) {
        let events: Vec<_> = (0..self.world.dice.between(1, 3)).map(|_| self.new_event()).collect();
        let began_ms = self.world.now_ms();
        let answer = self.ask(account, "POST", "/v1/events/batch", None, json!({"events": events})).await;
        let Some(answer) = answer.filter(|answer| answer.status == 202) else { return };
        let batch: Batch = serde_json::from_slice(&answer.body).expect("a batch");
        for payload in batch.data {
            let payload = Bytes::from(payload.get().to_owned());
            self.note_published(account, began_ms, None, false, payload);
        }
    }

    /// Puts an event on the queue from inside AWS.
    async fn produce(&self, account: &str) {
        let mut event = self.new_event();
        event["account"] = json!(account);
        event["data"]["object"]["by"] = json!(PRODUCER);
        self.world.send(local::provision::EVENTS, &event.to_string()).await;
    }

    async fn recover(&self) {
        let Some((account, webhook)) = self.some_webhook() else { return };
        self.change_to_enabled(&account, webhook).await;
        self.recover_webhook(&account, webhook).await;
    }

    async fn change_to_enabled(&self, account: &AccountId, webhook: WebhookId) {
        let path = format!("/v1/webhooks/{webhook}");
        self.ask(account.as_str(), "PATCH", &path, None, json!({"status": "enabled"})).await;
    }

    async fn recover_webhook(&self, account: &AccountId, webhook: WebhookId) {
        let began_ms = self.world.now_ms();
        let since =
            Timestamp::from_unix_ms(began_ms).minus(Duration::from_secs(*self.world.dice.pick(&[600, 864_000])));
        let path = format!("/v1/webhooks/{webhook}/recover");
        let body = json!({"since": since.to_string()});
        let Some(answer) = self.ask(account.as_str(), "POST", &path, None, body).await else { return };
        if answer.status == 202 {
            let since_ms = since.unix_ms();
            let recovery = Recovery { webhook, since_ms, until_ms: began_ms, began_ms };
            self.world.record().ledger.recoveries.push(recovery);
        }
    }

    /// Enables and recovers every webhook that is disabled at the end.
    pub(crate) async fn recover_all(&self) {
        let webhooks = self.world.record().ledger.webhooks.clone();
        for (account, webhook) in webhooks {
            let last = self.world.record().webhooks.get(&webhook).and_then(|writes| writes.last()?.webhook.clone());
            if last.is_some_and(|webhook| !webhook.is_enabled()) {
                self.change_to_enabled(&account, webhook).await;
                self.recover_webhook(&account, webhook).await;
            }
        }
    }

    async fn test(&self) {
        let Some((account, webhook)) = self.some_webhook() else { return };
        let body = json!({"webhook_id": webhook, "event_type": "user.created"});
        let Some(answer) = self.ask(account.as_str(), "POST", "/v1/webhooks/test", None, body).await else { return };
        if answer.status == 202 {
            let id = answer.json()["id"].as_str().expect("an id").to_owned();
            self.world.record().ledger.tested.push(id);
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
        let path = format!("/v1/deliveries/{delivery}/retry");
        let Some(answer) = self.ask(account.as_str(), "POST", &path, None, Value::Null).await else { return };
        if answer.status == 202 {
            self.world.record().ledger.retried.push(delivery.to_string());
        }
    }
}
