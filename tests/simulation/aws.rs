//! Between the AWS SDK and the embedded AWS: each call may fail before or after it took effect, be throttled, be answered
//! late, in part or never, or be the last thing that its process does. What took effect goes on record.

use std::sync::Arc;
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
use strict_aws::grants;
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

impl FaultyAws {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let identity = &self.0;
        let world = &identity.world;
        identity.live_on().await;
        let call = Call::read(&request);
        world.count_call();
        if !self.is_allowed(&call) {
            return Ok(call.denied());
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
            Some(Kind::Throttled) => call.throttled(),
            Some(Kind::TimeoutBefore) => return self.time_out().await,
            Some(Kind::ResetBefore) => return Err(reset()),
            Some(Kind::Hang) => return std::future::pending().await,
            Some(Kind::CrashBefore) => return self.crash(Kind::CrashBefore, &call.subject).await,
            Some(Kind::KeysUnprocessed) => self.leave_keys(call).await,
            Some(Kind::EntriesFailed) => self.refuse_entries(call).await,
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

    fn note(&self, kind: Kind, subject: &str) {
        self.0.world.fault(kind, Some(self.0.invocation()), subject);
    }

    async fn take_effect(&self, request: HttpRequest, call: Call) -> HttpResponse {
        let answer = self.0.world.aws.call(request).await;
        if answer.status().is_success() {
            self.0.world.observe(&call);
            if call.service == Service::Sqs {
                let bytes = answer.body().bytes().unwrap_or_default();
                let sent = serde_json::from_slice(bytes).unwrap_or_default();
                self.0.world.note_sent(&self.0.lineage(), &sent);
            }
        } else {
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

    /// Leaves some keys of a `BatchGetItem` unprocessed, but not all.
    async fn leave_keys(&self, mut call: Call) -> HttpResponse {
        let world = &self.0.world;
        let mut keys = call.keys();
        keys.sort();
        world.dice.shuffle(&mut keys);
        keys.truncate(world.dice.between(1, keys.len() as i64 - 1) as usize);
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
        let mut answer = world.ask(Service::DynamoDb, "BatchGetItem", &call.body).await;
        answer["UnprocessedKeys"] = Value::Object(left);
        HttpResponse::new(200.try_into().expect("a status"), SdkBody::from(answer.to_string()))
    }

    /// Refuses some entries of a `SendMessageBatch`, perhaps all.
    async fn refuse_entries(&self, mut call: Call) -> HttpResponse {
        let world = &self.0.world;
        let entries = call.body["Entries"].as_array_mut().expect("a SendMessageBatch");
        let mut refused = Vec::new();
        let count = world.dice.between(1, entries.len() as i64);
        for _ in 0..count {
            let index = world.dice.between(0, entries.len() as i64 - 1) as usize;
            let id = entries.remove(index)["Id"].clone();
            refused.push(json!({"Id": id, "SenderFault": false, "Code": "InternalError", "Message": "refused"}));
        }
        let mut answer = json!({"Successful": []});
        if !entries.is_empty() {
            answer = world.ask(Service::Sqs, "SendMessageBatch", &call.body).await;
            world.observe(&call);
            world.note_sent(&self.0.lineage(), &answer);
        }
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
