//! Between the AWS SDK and the embedded AWS: each call may fail before or after it took effect, be throttled, be answered
//! late, in part or never, or be the last thing that its process does. What took effect goes on record.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use strict_aws::call::{Call, Service};
use strict_aws::{grants, limits, record};
use tokio::time::sleep;

use crate::faults::Kind;
use crate::processes::Identity;
use crate::world::World;

/// The SDK's HTTP client in one process.
#[derive(Clone)]
pub(crate) struct FaultyAws(pub(crate) Arc<Identity>);

/// How often each kind comes, among the faults of calls.
const WEIGHTS: &[(Kind, u32)] = &[
    (Kind::ErrorBefore, 10),
    (Kind::ErrorAfter, 12),
    (Kind::Throttled, 10),
    (Kind::TimeoutBefore, 6),
    (Kind::TimeoutAfter, 8),
    (Kind::ResetBefore, 4),
    (Kind::ResetAfter, 8),
    (Kind::Slow, 10),
    (Kind::Hang, 1),
    (Kind::CrashBefore, 10),
    (Kind::CrashAfter, 14),
];

/// The time that an outage of one kind of call lasts: longer than the SDK's own retries.
const OUTAGE_MS: i64 = 8_000;

/// What the services refuse in the course of things, because of what is stored.
const EXPECTED_REFUSALS: [&str; 2] = ["ConditionalCheckFailedException", "ConflictException"];

/// What the last answer to a batch has left out.
#[derive(Debug)]
pub(crate) struct Rest {
    operation: String,
    left: Vec<String>,
    answered_ms: i64,
    /// How often it was asked for again, and how long that waited in all.
    tries: i64,
    waited_ms: i64,
}

impl Rest {
    /// Tries after which even a short wait before each must show.
    const TRIES_AT_ONCE: i64 = 3;

    fn is_asked_for_by(&self, call: &Call) -> bool {
        let asked = match call.operation.as_str() {
            "BatchGetItem" => call.keys(),
            "SendMessageBatch" => call.bodies(),
            _ => return false,
        };
        self.operation == call.operation && asked.len() == self.left.len() && self.contains_all(&asked)
    }

    fn contains_all(&self, others: &[String]) -> bool {
        others.iter().all(|other| self.left.contains(other))
    }
}

impl FaultyAws {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let identity = &self.0;
        let world = &identity.world;
        identity.live_on().await;
        let call = Call::read(&request);
        world.count_call();
        record::record(&call);
        if !self.is_allowed(&call) {
            return Ok(call.denied());
        }
        if let Some(wrong) = limits::breach(&call) {
            world.breach(wrong);
            return Ok(call.invalid());
        }
        self.check_wait(&call);
        if identity.connections_dead.swap(false, Ordering::Relaxed) {
            // Nobody answers any more: only a timeout of the caller's own ends this.
            self.note(Kind::DeadConnection, &call.subject);
            return std::future::pending().await;
        }
        let fault = self.draw(&call);
        world.trace(|| format!("p{} i{} {call}", identity.number, identity.invocation()));
        if let Some(kind) = fault.filter(|kind| !matches!(kind, Kind::CrashBefore | Kind::CrashAfter)) {
            self.note(kind, &call.subject);
        }
        sleep(Duration::from_millis(world.dice.between(0, 8) as u64)).await;
        identity.live_on().await;
        let answer = match fault {
            None => self.take_effect(request, call).await,
            Some(Kind::ErrorBefore) => call.failed(),
            Some(Kind::Throttled | Kind::PartitionThrottled) => call.throttled(),
            Some(Kind::TimeoutBefore) => return self.time_out().await,
            Some(Kind::ResetBefore) => return Err(reset()),
            Some(Kind::Hang) => return std::future::pending().await,
            Some(Kind::CrashBefore) => return self.crash(Kind::CrashBefore, &call.subject).await,
            Some(Kind::KeysUnprocessed) => {
                let mut keys = call.keys();
                keys.sort();
                world.dice.shuffle(&mut keys);
                keys.truncate(world.dice.between(1, keys.len() as i64 - 1) as usize);
                self.leave_keys(call, &keys).await
            }
            Some(Kind::KeysThrottled) => {
                let keys = world.keys_too_many(&call);
                self.leave_keys(call, &keys).await
            }
            Some(Kind::EntriesFailed) => {
                let count = world.dice.between(1, call.entries() as i64) as usize;
                self.refuse_entries(call, count).await
            }
            Some(Kind::EntriesThrottled) => {
                let count = world.messages_too_many(&call);
                self.refuse_entries(call, count).await
            }
            Some(after) => {
                let (failed, subject) = (call.failed(), call.subject.clone());
                let answer = self.take_effect(request, call).await;
                match after {
                    Kind::ErrorAfter => failed,
                    Kind::TimeoutAfter => return self.time_out().await,
                    Kind::ResetAfter => return Err(reset()),
                    Kind::CrashAfter => return self.crash(Kind::CrashAfter, &subject).await,
                    _ => {
                        sleep(Duration::from_millis(world.dice.between(500, 20_000) as u64)).await;
                        answer
                    }
                }
            }
        };
        sleep(Duration::from_millis(world.dice.between(0, 8) as u64)).await;
        identity.live_on().await;
        Ok(answer)
    }

    /// Whether the function's role grants what the call needs.
    fn is_allowed(&self, call: &Call) -> bool {
        grants::needs(call).iter().all(|need| self.0.world.grants(self.0.function, need))
    }

    /// The fault that this call meets, if it meets one.
    fn draw(&self, call: &Call) -> Option<Kind> {
        let world = &self.0.world;
        if world.is_calm() {
            return None;
        }
        let name = call.to_string();
        if let Some(kind) = world.outages.under_way(&name, world.now_ms()) {
            return Some(kind);
        }
        if let Some(kind) = self.too_much(call) {
            return Some(kind);
        }
        if !world.dice.permille(world.plan.call_faults) {
            return None;
        }
        if world.dice.permille(250) {
            match call.operation.as_str() {
                "BatchGetItem" if call.keys().len() > 1 => return Some(Kind::KeysUnprocessed),
                "SendMessageBatch" => return Some(Kind::EntriesFailed),
                _ => {}
            }
        }
        let kind = world.dice.weighted(WEIGHTS);
        if matches!(kind, Kind::ErrorBefore | Kind::ErrorAfter | Kind::Throttled) && world.dice.permille(400) {
            // The SDK's retries would hide most faults from the code: some last.
            world.outages.begin(name, kind, world.now_ms() + OUTAGE_MS);
        }
        Some(kind)
    }

    /// How a call is refused that comes on top of what its partition or its queue takes.
    fn too_much(&self, call: &Call) -> Option<Kind> {
        let world = &self.0.world;
        match call.operation.as_str() {
            "BatchGetItem" => (!world.keys_too_many(call).is_empty()).then_some(Kind::KeysThrottled),
            "SendMessageBatch" => (world.messages_too_many(call) > 0).then_some(Kind::EntriesThrottled),
            _ => world.is_too_much(call).then_some(Kind::PartitionThrottled),
        }
    }

    /// Holds the process to a wait before it asks again for what a batch's answer has left out.
    fn check_wait(&self, call: &Call) {
        let mut rest = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rest) = rest.as_mut().filter(|rest| rest.is_asked_for_by(call)) else { return };
        rest.tries += 1;
        rest.waited_ms += self.0.world.now_ms() - rest.answered_ms;
        if rest.tries >= Rest::TRIES_AT_ONCE && rest.waited_ms < rest.tries {
            self.0.world.breach(format!("{} asked {} times at once for what was left out", call.operation, rest.tries));
        }
    }

    /// Notes what a batch's answer has left out.
    fn note_rest(&self, operation: &str, left: Vec<String>) {
        let mut rest = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rest.take().filter(|before| before.operation == operation && before.contains_all(&left));
        let (tries, waited_ms) = before.map_or((0, 0), |before| (before.tries, before.waited_ms));
        let answered_ms = self.0.world.now_ms();
        *rest = Some(Rest { operation: operation.to_owned(), left, answered_ms, tries, waited_ms });
    }

    fn note(&self, kind: Kind, subject: &str) {
        self.0.world.fault(kind, Some(self.0.invocation()), subject);
    }

    async fn take_effect(&self, request: HttpRequest, call: Call) -> HttpResponse {
        let mut answer = self.0.world.aws.call(request).await;
        if answer.status().is_success() {
            self.0.world.observe(&call);
            self.0.world.note_history(&call).await;
            if self.0.world.make_stale(&call, &mut answer) {
                self.note(Kind::StaleRead, &call.subject);
            }
            let body = || serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
            self.0.world.count_units(&call, body);
            if call.service == Service::Sqs {
                self.0.world.note_sent(&self.0.lineage(), &body());
            }
        } else {
            self.check_refusal(&call, &answer);
            self.0.world.trace(|| format!("p{} refused: {}", self.0.number, answer.status()));
        }
        answer
    }

    async fn time_out<T>(&self) -> Result<T, ConnectorError> {
        sleep(Duration::from_secs(3)).await;
        self.0.live_on().await;
        Err(ConnectorError::timeout("no answer in time".into()))
    }

    async fn crash<T>(&self, kind: Kind, subject: &str) -> T {
        self.note(kind, subject);
        self.0.kill();
        std::future::pending().await
    }

    /// A request that its service refuses for what it says, not for what is stored, is a mistake.
    fn check_refusal(&self, call: &Call, answer: &HttpResponse) {
        let body: Value = serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
        let code = body["__type"].as_str().or_else(|| answer.headers().get("x-amzn-errortype")).unwrap_or_default();
        // What is hidden no more, or gone, cannot be hidden longer.
        let is_expected = call.operation == "ChangeMessageVisibility"
            || EXPECTED_REFUSALS.iter().any(|expected| code.ends_with(expected));
        if !is_expected {
            self.0.world.breach(format!("{call}: {code}"));
        }
    }

    /// Leaves these keys of a `BatchGetItem` unprocessed.
    async fn leave_keys(&self, mut call: Call, keys: &[String]) -> HttpResponse {
        let world = &self.0.world;
        let mut left = serde_json::Map::new();
        let requests = call.body["RequestItems"].as_object_mut().expect("a BatchGetItem");
        for (table, wanted) in requests.iter_mut() {
            let all = wanted["Keys"].as_array_mut().expect("keys");
            let (out, within): (Vec<_>, Vec<_>) =
                all.drain(..).partition(|key| keys.contains(&strict_aws::call::key_text(table, key)));
            *all = within;
            if !out.is_empty() {
                left.insert(table.clone(), json!({"Keys": out, "ConsistentRead": wanted["ConsistentRead"]}));
            }
        }
        requests.retain(|_, wanted| wanted["Keys"].as_array().is_some_and(|keys| !keys.is_empty()));
        let mut answer = json!({"Responses": {}});
        if !requests.is_empty() {
            answer = world.ask(Service::DynamoDb, "BatchGetItem", &call.body).await;
            world.count_units(&call, || answer.clone());
        }
        self.note_rest(&call.operation, keys.to_vec());
        answer["UnprocessedKeys"] = Value::Object(left);
        HttpResponse::new(200.try_into().expect("a status"), SdkBody::from(answer.to_string()))
    }

    /// Refuses so many entries of a `SendMessageBatch`, perhaps all.
    async fn refuse_entries(&self, mut call: Call, count: usize) -> HttpResponse {
        let world = &self.0.world;
        let entries = call.body["Entries"].as_array_mut().expect("a SendMessageBatch");
        let (mut refused, mut left) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let index = world.dice.between(0, entries.len() as i64 - 1) as usize;
            let entry = entries.remove(index);
            left.push(entry["MessageBody"].as_str().unwrap_or_default().to_owned());
            refused
                .push(json!({"Id": entry["Id"], "SenderFault": false, "Code": "InternalError", "Message": "refused"}));
        }
        let mut answer = json!({"Successful": []});
        if !entries.is_empty() {
            answer = world.ask(Service::Sqs, "SendMessageBatch", &call.body).await;
            world.observe(&call);
            world.count_units(&call, || Value::Null);
            world.note_sent(&self.0.lineage(), &answer);
        }
        self.note_rest(&call.operation, left);
        answer["Failed"] = Value::Array(refused);
        HttpResponse::new(200.try_into().expect("a status"), SdkBody::from(answer.to_string()))
    }
}

fn reset() -> ConnectorError {
    ConnectorError::io("the connection was reset".into())
}

impl std::fmt::Debug for FaultyAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultyAws(p{})", self.0.number)
    }
}

impl HttpConnector for FaultyAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.clone();
        HttpConnectorFuture::new(async move { aws.answer(request).await })
    }
}

impl HttpClient for FaultyAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl World {
    /// Asks the embedded AWS without faults, past the SDK: for what stands in for AWS itself, and for the checks.
    ///
    /// # Panics
    /// Where AWS refuses.
    pub(crate) async fn ask(&self, service: Service, operation: &str, body: &Value) -> Value {
        let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
        request.headers_mut().insert("x-amz-target", format!("{}{operation}", service.target_prefix()));
        let mut answer = self.aws.call(request).await;
        let taken = answer.take_body();
        let bytes = taken.bytes().unwrap_or_default();
        assert!(answer.status().is_success(), "{operation}: {}", String::from_utf8_lossy(bytes));
        serde_json::from_slice(bytes).expect("AWS answers JSON")
    }
}
