//! The HTTP client between the AWS SDK and the embedded AWS, which injects faults. A call may fail
//! before or after it takes effect, be throttled, be answered late, in part or never, or its
//! process may die. Each effect is recorded.

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
use crate::processes::Caller;
use crate::world::World;

/// The SDK's HTTP client in one process.
#[derive(Clone)]
pub(crate) struct FaultyAws(pub(crate) Arc<Caller>);

/// The faults of calls, and the weight of each.
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

/// How long an outage of one call lasts: longer than the SDK retries.
const OUTAGE_MS: i64 = 8_000;

/// Errors that are part of normal operation, because they depend on what is stored.
const EXPECTED_REFUSALS: [&str; 2] = ["ConditionalCheckFailedException", "ConflictException"];

/// The keys or messages that the last answer to a batch has not processed.
#[derive(Debug)]
pub(crate) struct Unprocessed {
    operation: String,
    left: Vec<String>,
    answered_ms: i64,
    /// How often they were retried.
    retries: i64,
    /// How long these retries waited, in total.
    waited_ms: i64,
}

impl Unprocessed {
    /// Retries after which the waits must add up to 1 ms a retry, at least.
    const RETRIES_UNCHECKED: i64 = 3;

    fn is_retried_by(&self, call: &Call) -> bool {
        let requested = match call.operation.as_str() {
            "BatchGetItem" => call.keys(),
            "SendMessageBatch" => call.bodies(),
            _ => return false,
        };
        // Several copies of a trial's task may enqueue the same task for the chosen event, each for the first time.
        let is_of_trial = |body: &String| body.contains(r#""trigger":"trial."#);
        self.operation == call.operation
            && requested.len() == self.left.len()
            && self.contains_all(&requested)
            && !requested.iter().any(is_of_trial)
    }

    fn contains_all(&self, others: &[String]) -> bool {
        others.iter().all(|other| self.left.contains(other))
    }
}

impl FaultyAws {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of fault")]
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let caller = &self.0;
        let world = &caller.world;
        caller.stop_if_killed().await;
        let call = Call::read(&request);
        world.count_call();
        record::record(&call);
        if !self.is_allowed(&call) {
            return Ok(call.denied());
        }
        if let Some(violation) = limits::breach(&call) {
            world.record_violation(violation);
            return Ok(call.invalid());
        }
        self.check_backoff(&call);
        if caller.connections_dead.swap(false, Ordering::Relaxed) {
            // No answer ever arrives: only a timeout of the SDK ends this call.
            self.record_fault(Kind::DeadConnection, &call.subject);
            return std::future::pending().await;
        }
        let fault = self.draw_fault(&call);
        world.trace(|| format!("p{} i{} {call}", caller.number, caller.invocation()));
        if let Some(kind) = fault.filter(|kind| !matches!(kind, Kind::CrashBefore | Kind::CrashAfter)) {
            self.record_fault(kind, &call.subject);
        }
        sleep(Duration::from_millis(world.dice.between(0, 8) as u64)).await;
        caller.stop_if_killed().await;
        let answer = match fault {
            None => self.execute(request, call).await,
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
                let keys = world.throttled_keys(&call);
                self.leave_keys(call, &keys).await
            }
            Some(Kind::EntriesFailed) => {
                let count = world.dice.between(1, call.entries() as i64) as usize;
                self.refuse_entries(call, count).await
            }
            Some(Kind::EntriesThrottled) => {
                let count = world.throttled_messages(&call);
                self.refuse_entries(call, count).await
            }
            Some(after) => {
                let (failed, subject) = (call.failed(), call.subject.clone());
                let answer = self.execute(request, call).await;
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
        caller.stop_if_killed().await;
        Ok(answer)
    }

    /// Whether the function's role grants what the call needs.
    fn is_allowed(&self, call: &Call) -> bool {
        grants::needs(call).iter().all(|need| self.0.world.check_grant(self.0.function, need))
    }

    /// Draws the fault of this call, if it has one.
    fn draw_fault(&self, call: &Call) -> Option<Kind> {
        let world = &self.0.world;
        if !world.injects_faults() {
            return None;
        }
        let name = call.to_string();
        if let Some(kind) = world.outages.active(&name, world.now_ms()) {
            return Some(kind);
        }
        if let Some(kind) = self.throttling(call) {
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
            // The SDK retries would hide most faults from Hookline, so some faults last longer.
            world.outages.begin(name, kind, world.now_ms() + OUTAGE_MS);
        }
        Some(kind)
    }

    /// Returns how a call is throttled, if it exceeds the limit of its partition or its queue.
    fn throttling(&self, call: &Call) -> Option<Kind> {
        let world = &self.0.world;
        match call.operation.as_str() {
            "BatchGetItem" => (!world.throttled_keys(call).is_empty()).then_some(Kind::KeysThrottled),
            "SendMessageBatch" => (world.throttled_messages(call) > 0).then_some(Kind::EntriesThrottled),
            _ => world.exceeds_throughput(call).then_some(Kind::PartitionThrottled),
        }
    }

    /// Records a violation if the process retries the unprocessed rest of a batch without waiting.
    fn check_backoff(&self, call: &Call) {
        let mut unprocessed = self.0.unprocessed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rest) = unprocessed.as_mut().filter(|rest| rest.is_retried_by(call)) else { return };
        rest.retries += 1;
        rest.waited_ms += self.0.world.now_ms() - rest.answered_ms;
        if rest.retries >= Unprocessed::RETRIES_UNCHECKED && rest.waited_ms < rest.retries {
            let Unprocessed { operation, retries, .. } = rest;
            self.0.world.record_violation(format!("{operation} was retried {retries} times without a wait"));
        }
    }

    /// Records the keys or messages that the answer to a batch has not processed.
    fn record_unprocessed(&self, operation: &str, left: Vec<String>) {
        let mut unprocessed = self.0.unprocessed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = unprocessed.take().filter(|before| before.operation == operation && before.contains_all(&left));
        let (retries, waited_ms) = before.map_or((0, 0), |before| (before.retries, before.waited_ms));
        let answered_ms = self.0.world.now_ms();
        *unprocessed = Some(Unprocessed { operation: operation.to_owned(), left, answered_ms, retries, waited_ms });
    }

    fn record_fault(&self, kind: Kind, subject: &str) {
        self.0.world.record_fault(kind, Some(self.0.invocation()), subject);
    }

    /// Passes a call to the embedded AWS, and records its effect. A call that AWS has received takes effect even if its
    /// process dies meanwhile, so a task of its own makes it.
    async fn execute(&self, request: HttpRequest, call: Call) -> HttpResponse {
        let aws = self.clone();
        tokio::spawn(async move { aws.effect(request, call).await }).await.expect("an answer")
    }

    async fn effect(&self, request: HttpRequest, call: Call) -> HttpResponse {
        let mut answer = self.0.world.aws.call(request).await;
        if answer.status().is_success() {
            self.0.world.observe(&call);
            self.0.world.record_history(&call).await;
            if self.0.world.make_stale(&call, &mut answer) {
                self.record_fault(Kind::StaleRead, &call.subject);
            }
            let body = || serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
            self.0.world.count_units(&call, body);
            if call.service == Service::Sqs {
                self.0.world.record_sent(&self.0.lineage(), &body());
            }
        } else {
            self.check_refusal(&call, &answer);
            self.0.world.trace(|| format!("p{} refused: {}", self.0.number, answer.status()));
        }
        answer
    }

    async fn time_out<T>(&self) -> Result<T, ConnectorError> {
        sleep(Duration::from_secs(3)).await;
        self.0.stop_if_killed().await;
        Err(ConnectorError::timeout("no answer in time".into()))
    }

    async fn crash<T>(&self, kind: Kind, subject: &str) -> T {
        self.record_fault(kind, subject);
        self.0.kill();
        std::future::pending().await
    }

    /// Records a violation if AWS refuses a call because of the request itself. A refusal because
    /// of what is stored is normal.
    fn check_refusal(&self, call: &Call, answer: &HttpResponse) {
        let body: Value = serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
        let code = body["__type"].as_str().or_else(|| answer.headers().get("x-amzn-errortype")).unwrap_or_default();
        // The message may be visible again or deleted by now.
        let is_expected = call.operation == "ChangeMessageVisibility"
            || EXPECTED_REFUSALS.iter().any(|expected| code.ends_with(expected));
        if !is_expected {
            self.0.world.record_violation(format!("{call}: {code}"));
        }
    }

    /// Answers a `BatchGetItem` and leaves `keys` unprocessed.
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
            answer = world.call_aws(Service::DynamoDb, "BatchGetItem", &call.body).await;
            world.count_units(&call, || answer.clone());
        }
        self.record_unprocessed(&call.operation, keys.to_vec());
        answer["UnprocessedKeys"] = Value::Object(left);
        HttpResponse::new(200.try_into().expect("a status"), SdkBody::from(answer.to_string()))
    }

    /// Answers a `SendMessageBatch` and refuses `count` of its entries.
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
            answer = world.call_aws(Service::Sqs, "SendMessageBatch", &call.body).await;
            world.observe(&call);
            world.count_units(&call, || Value::Null);
            world.record_sent(&self.0.lineage(), &answer);
        }
        self.record_unprocessed(&call.operation, left);
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
    /// Calls the embedded AWS without the SDK and without faults. The event sources and the checks
    /// use it.
    ///
    /// # Panics
    /// If AWS refuses.
    pub(crate) async fn call_aws(&self, service: Service, operation: &str, body: &Value) -> Value {
        let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
        request.headers_mut().insert("x-amz-target", format!("{}{operation}", service.target_prefix()));
        let mut answer = self.aws.call(request).await;
        let body = answer.take_body();
        let bytes = body.bytes().unwrap_or_default();
        assert!(answer.status().is_success(), "{operation}: {}", String::from_utf8_lossy(bytes));
        serde_json::from_slice(bytes).expect("AWS answers JSON")
    }
}
