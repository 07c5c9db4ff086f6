//! An HTTP client between the SDK and the embedded AWS that counts what AWS bills, and takes as long as AWS takes.

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use local::embedded::EmbeddedAws;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What a call takes within a region, which a function waits for and pays for.
const CALL: Duration = Duration::from_millis(5);
/// What an SDK call, or a delivery's POST, takes of a whole CPU.
const CPU: Duration = Duration::from_micros(500);
/// Memory that comes with a whole CPU, in MB.
const MEMORY_OF_A_CPU_MB: u32 = 1769;
/// What SQS counts as one request.
const SQS_CHUNK_BYTES: usize = 64 * 1024;
/// Memory of the functions that work on deliveries, in MB, as the template gives it.
const MEMORY_MB: u32 = 256;

/// What has been used.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// Requests to the HTTP API.
    pub(super) api_requests: u64,
    /// Calls that write to a table.
    pub(super) writes: u64,
    /// What they consumed.
    pub(super) write_units: f64,
    /// Calls that read a table.
    pub(super) reads: u64,
    /// What they consumed.
    pub(super) read_units: f64,
    /// Requests to SQS, each 64 KB of a large one counted.
    pub(super) sqs_requests: u64,
    /// Schedules made; each fires once.
    pub(super) schedules: u64,
    /// By name.
    pub(super) functions: BTreeMap<&'static str, Function>,
}

/// What a function has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Function {
    pub(super) invocations: u64,
    pub(super) gigabyte_seconds: f64,
}

/// The meter; clones share one count.
#[derive(Clone)]
pub(super) struct Meter {
    aws: EmbeddedAws,
    usage: Arc<Mutex<Usage>>,
}

impl Meter {
    /// A meter of `aws` that has counted nothing.
    pub(super) fn of(aws: EmbeddedAws) -> Self {
        Self { aws, usage: Arc::default() }
    }

    /// What has been used so far.
    pub(super) fn usage(&self) -> Usage {
        self.lock().clone()
    }

    /// Counts a request to the HTTP API.
    pub(super) fn api_request(&self) {
        self.lock().api_requests += 1;
    }

    /// Runs a function that makes `posts` requests of its own, and counts what Lambda bills: the time by which it waits,
    /// and the time by which it computes on the share of a CPU that comes with its memory.
    pub(super) async fn invoke<T>(&self, name: &'static str, posts: usize, running: impl Future<Output = T>) -> T {
        let (began, before) = (Instant::now(), self.lock().calls());
        let result = running.await;
        let mut usage = self.lock();
        let computed = CPU * (usage.calls() - before + posts as u64) as u32 * MEMORY_OF_A_CPU_MB / MEMORY_MB;
        let billed_ms = (began.elapsed() + computed).as_millis().div_ceil(1) as f64;
        let function = usage.functions.entry(name).or_default();
        function.invocations += 1;
        function.gigabyte_seconds += billed_ms / 1000.0 * f64::from(MEMORY_MB) / 1024.0;
        result
    }

    async fn answer(&self, mut request: HttpRequest) -> HttpResponse {
        tokio::time::sleep(CALL).await;
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let asked = request.body().bytes().unwrap_or_default().to_vec();
        let Some((service, operation)) = target.split_once('.') else {
            // EventBridge Scheduler's requests are told by their path alone.
            self.lock().schedules += u64::from(request.method() == "POST");
            return self.aws.call(request).await;
        };
        if service.starts_with("DynamoDB") {
            let mut body: Value = serde_json::from_slice(&asked).unwrap_or_default();
            body["ReturnConsumedCapacity"] = "TOTAL".into();
            *request.body_mut() = SdkBody::from(body.to_string());
        }
        let response = self.aws.call(request).await;
        let answered = response.body().bytes().unwrap_or_default();
        if service == "AmazonSQS" {
            self.lock().sqs_requests += asked.len().max(answered.len()).div_ceil(SQS_CHUNK_BYTES).max(1) as u64;
        } else {
            self.lock().count_table_call(operation, &serde_json::from_slice(answered).unwrap_or_default());
        }
        response
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Usage {
    fn calls(&self) -> u64 {
        self.writes + self.reads + self.sqs_requests + self.schedules
    }

    fn count_table_call(&mut self, operation: &str, answer: &Value) {
        let units = |consumed: &Value| consumed["CapacityUnits"].as_f64();
        let units = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().filter_map(units).sum(),
            // A write that is refused is billed as well, and answers with its reason alone.
            consumed => units(consumed).unwrap_or(1.0),
        };
        if matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem") {
            self.writes += 1;
            self.write_units += units;
        } else {
            self.reads += 1;
            self.read_units += units;
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

impl HttpConnector for Meter {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let meter = self.clone();
        HttpConnectorFuture::new(async move { Ok(meter.answer(request).await) })
    }
}

impl HttpClient for Meter {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
