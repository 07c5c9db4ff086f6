//! AWS in this process: an HTTP client for the AWS SDK that answers DynamoDB, SQS and EventBridge Scheduler itself,
//! with no network and no sockets.
//!
//! The code that talks to AWS cannot tell the difference, so what runs here is what is deployed. Each service lives in
//! a module and keeps one SQLite file; [`wire`] is the HTTP that they share. What belongs to Hookline (which queues
//! there are, what a schedule's target does) stays outside.
//!
//! Every request is answered in one step after a scheduling point and without threads, so that a run under simulated
//! time repeats exactly.

mod dynamodb;
mod folder;
mod scheduler;
mod sqlite;
mod sqs;
#[cfg(test)]
mod tests;
mod wire;

pub use scheduler::DueSchedule;
pub use sqs::QueueSettings;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use folder::Folder;
use hookline::time::Clock;
use http_body_util::BodyExt;
use std::{fmt, path::Path, sync::Arc, time::Duration};
use wire::{Fault, Reply};

/// The region that every name and address is in.
const REGION: &str = "us-east-1";
/// The account that every name is in; no real account has this number.
const ACCOUNT: &str = "000000000000";

/// `DynamoDB`, SQS and EventBridge Scheduler in this process.
///
/// Clones share one state. The data folder stays locked until the last clone is gone, those inside SDK clients
/// included.
#[derive(Clone)]
pub struct EmbeddedAws(Arc<Services>);

struct Services {
    dynamodb: dynamodb::DynamoDb,
    sqs: sqs::Sqs,
    scheduler: scheduler::Scheduler,
    /// Held, never read: as long as this is, no other process opens the folder.
    _folder: Option<Folder>,
}

impl EmbeddedAws {
    /// Opens the services on the files in the folder `data`, which is made if it is missing; `None` keeps everything in
    /// memory. Messages that were in flight become visible at once: whoever held them is gone.
    ///
    /// # Errors
    /// Another process has the folder open, or a file is damaged, missing, or cannot be written.
    pub fn open(data: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        let mut folder = data.map(Folder::lock).transpose()?;
        for file in [dynamodb::FILE, sqs::FILE, scheduler::FILE] {
            folder.as_ref().map_or(Ok(()), |folder| folder.check(file))?;
        }
        let dynamodb = dynamodb::DynamoDb::open(data, &clock)?;
        let sqs = sqs::Sqs::open(data, clock.clone())?;
        let scheduler = scheduler::Scheduler::open(data, clock)?;
        folder.as_mut().map_or(Ok(()), Folder::complete)?;
        Ok(Self(Arc::new(Services { dynamodb, sqs, scheduler, _folder: folder })))
    }

    /// The configuration for SDK clients that talk to this AWS. To put something between the two (a fault, a count),
    /// replace its HTTP client by one that calls [`call`](Self::call).
    pub fn sdk_config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "embedded", "embedded", None, None, "embedded",
            )))
            // There is no stream that could stall, and a long poll must not be taken for one.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.clone())
            .build()
    }

    /// Answers one request as AWS would, errors included.
    pub async fn call(&self, mut request: HttpRequest) -> HttpResponse {
        // A call over a network gives way to other tasks. One that is always ready at once would let a busy loop keep
        // a single-threaded runtime to itself.
        tokio::task::yield_now().await;
        let Ok(body) = request.take_body().collect().await else {
            return Reply::from(Fault::serialization("the request's body cannot be read")).into();
        };
        self.0.answer(&request, &body.to_bytes()).await.into()
    }

    /// Makes the queue `name`, or gives the existing one these settings.
    ///
    /// # Errors
    /// The dead-letter queue does not exist, or the file cannot be written.
    pub fn create_queue(&self, name: &str, settings: QueueSettings) -> anyhow::Result<()> {
        self.0.sqs.create_queue(name, settings)
    }

    /// The URL of the queue `name`.
    pub fn queue_url(&self, name: &str) -> String {
        sqs::queue_url(name)
    }

    /// The ARN of the queue `name`.
    pub fn queue_arn(&self, name: &str) -> String {
        sqs::queue_arn(name)
    }

    /// Waits for a schedule to be due and hands it out. It stays stored until [`schedule_done`](Self::schedule_done),
    /// so that it fires again after a crash in between; this process does not hand it out twice unless
    /// [`schedule_failed`](Self::schedule_failed) gives it back. Dropping the future loses nothing.
    pub async fn next_due_schedule(&self) -> DueSchedule {
        self.0.scheduler.next_due().await
    }

    /// Forgets a schedule whose target has been invoked.
    ///
    /// # Errors
    /// The file cannot be written; the schedule then fires again when the folder is next opened.
    pub fn schedule_done(&self, schedule: &DueSchedule) -> anyhow::Result<()> {
        self.0.scheduler.done(schedule)
    }

    /// Gives back a schedule whose target could not be invoked: it is due again after `retry_in`.
    pub fn schedule_failed(&self, schedule: &DueSchedule, retry_in: Duration) {
        self.0.scheduler.failed(schedule, retry_in);
    }

    /// Deletes the `DynamoDB` items whose time to live is over and tells how many there were. AWS does so by itself
    /// within days. With a data folder, the engine judges by the machine's clock.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn sweep_expired_items(&self) -> anyhow::Result<usize> {
        self.0.dynamodb.sweep_expired_items()
    }
}

impl Services {
    async fn answer(&self, request: &HttpRequest, body: &[u8]) -> Reply {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let answer = if let Some(operation) = target.strip_prefix("DynamoDB_20120810.") {
            return self.dynamodb.call(operation, body);
        } else if let Some(operation) = target.strip_prefix("AmazonSQS.") {
            self.sqs.call(operation, body).await
        } else if let Some(name) = wire::path(request.uri()).strip_prefix("/schedules/") {
            self.scheduler.call(request.method(), name, wire::query_value(request.uri(), "groupName"), body)
        } else {
            Err(Fault::unknown_operation(&format!("{} {} {target}", request.method(), request.uri())))
        };
        answer.map_or_else(Reply::from, Reply::ok)
    }
}

impl fmt::Debug for EmbeddedAws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedAws").finish_non_exhaustive()
    }
}

impl HttpConnector for EmbeddedAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.clone();
        HttpConnectorFuture::new(async move { Ok(aws.call(request).await) })
    }
}

impl HttpClient for EmbeddedAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
