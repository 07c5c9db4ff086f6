//! An HTTP client between the SDK and the embedded AWS. It counts what AWS bills, and takes as long
//! as AWS.

use super::units::{Counted, Units};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use embedded_aws::EmbeddedAws;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The time of a call within a region. The function waits for it and pays for it.
const CALL: Duration = Duration::from_millis(5);
/// The time that an SDK call, or the POST of a delivery, takes on a whole CPU.
const CPU: Duration = Duration::from_micros(500);
/// The memory with which Lambda gives a function a whole CPU, in MB.
const MEMORY_OF_A_CPU_MB: u32 = 1769;
/// The bytes that SQS bills as one request.
const SQS_CHUNK_BYTES: usize = 64 * 1024;
/// The memory of `api`, `publish` and `deliver` in the template, in MB.
const MEMORY_MB: u32 = 256;

/// What AWS would bill.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// Requests to the HTTP API.
    pub(super) api_requests: u64,
    /// Calls that write to a table.
    pub(super) writes: u64,
    /// The write units that they consumed.
    pub(super) write_units: f64,
    /// Calls that read a table.
    pub(super) reads: u64,
    /// The read units that they consumed.
    pub(super) read_units: f64,
    /// Requests to SQS. A large one counts once for each 64 KB.
    pub(super) sqs_requests: u64,
    /// Schedules that were created. Each fires once.
    pub(super) schedules: u64,
    /// The usage of each function, by its name.
    pub(super) functions: BTreeMap<&'static str, Function>,
}

/// What AWS would bill for a function.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Function {
    pub(super) invocations: u64,
    pub(super) gigabyte_seconds: f64,
    /// The time that it waited, without what the computing is assumed to take.
    pub(super) waited: Duration,
    pub(super) write_units: f64,
    pub(super) read_units: f64,
}

/// The meter. Clones share one count.
#[derive(Clone)]
pub(super) struct Meter {
    aws: EmbeddedAws,
    usage: Arc<Mutex<Usage>>,
}

impl Meter {
    /// Creates a meter of `aws` that has counted nothing yet.
    pub(super) fn of(aws: EmbeddedAws) -> Self {
        Self { aws, usage: Arc::default() }
    }

    /// Returns what has been used so far.
    pub(super) fn usage(&self) -> Usage {
        self.lock().clone()
    }

    /// Counts a request to the HTTP API.
    pub(super) fn api_request(&self) {
        self.lock().api_requests += 1;
    }

    /// Runs a function that makes `posts` requests to receivers, and counts what Lambda bills: the
    /// time that it waits, and the time that it computes on the share of a CPU that comes with its
    /// memory.
    pub(super) async fn invoke<T>(&self, name: &'static str, posts: usize, running: impl Future<Output = T>) -> T {
        let (began, before) = (Instant::now(), self.usage());
        let result = running.await;
        let mut usage = self.lock();
        let computed = CPU * (usage.calls() - before.calls() + posts as u64) as u32 * MEMORY_OF_A_CPU_MB / MEMORY_MB;
        let billed_ms = (began.elapsed() + computed).as_millis().div_ceil(1) as f64;
        let (write_units, read_units) = (usage.write_units, usage.read_units);
        let function = usage.functions.entry(name).or_default();
        function.invocations += 1;
        function.gigabyte_seconds += billed_ms / 1000.0 * f64::from(MEMORY_MB) / 1024.0;
        function.waited += began.elapsed();
        function.write_units += write_units - before.write_units;
        function.read_units += read_units - before.read_units;
        result
    }

    async fn answer(&self, request: HttpRequest) -> HttpResponse {
        tokio::time::sleep(CALL).await;
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let Some((service, operation)) = target.split_once('.') else {
            // Requests to EventBridge Scheduler have no `x-amz-target`.
            self.lock().schedules += u64::from(request.method() == "POST");
            return self.aws.call(request).await;
        };
        let asked_bytes = request.body().bytes().unwrap_or_default().len();
        if service == "AmazonSQS" {
            let response = self.aws.call(request).await;
            let answered_bytes = response.body().bytes().unwrap_or_default().len();
            self.lock().sqs_requests += asked_bytes.max(answered_bytes).div_ceil(SQS_CHUNK_BYTES).max(1) as u64;
            return response;
        }
        let counted = Counted::begin(&self.aws, &request, operation).await;
        let is_write = counted.is_write();
        let response = self.aws.call(request).await;
        let Units { reads, writes } = counted.end(response.body().bytes().unwrap_or_default()).await;
        let mut usage = self.lock();
        if is_write {
            usage.writes += 1;
            usage.write_units += writes;
        } else {
            usage.reads += 1;
            usage.read_units += reads;
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
