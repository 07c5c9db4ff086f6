//! AWS in this process: an HTTP client for the AWS SDK that answers DynamoDB, SQS and EventBridge Scheduler itself,
//! with no network and no sockets.
//!
//! The code that talks to AWS cannot tell the difference, so what runs here is what is deployed. Each service lives in
//! a module; [`engine`] is the SQLite file and [`wire`] the HTTP that they share. What belongs to Hookline (which queues
//! there are, what a schedule's target does) stays outside.
//!
//! Every request is answered in one step after a scheduling point and without threads, so that a run under simulated
//! time repeats exactly.

mod clients;
mod dynamodb;
mod engine;
mod folder;
mod scheduler;
mod sqs;
#[cfg(test)]
mod tests;
mod wire;

pub use scheduler::DueSchedule;
pub use sqs::QueueSettings;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, IdentityCache, SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use bytes::Bytes;
use engine::{Engine, State};
use folder::Folder;
use hookline::{aws, time::Clock};
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
    engine: Engine,
    clock: Clock,
    /// Sees each request first.
    watch: Option<Watch>,
    /// Held, never read: as long as this is, no other process opens the folder.
    _folder: Option<Folder>,
}

/// Sees each request of the SDK before it is answered: for tests that judge or record them.
pub type Watch = fn(&HttpRequest);

impl EmbeddedAws {
    /// Opens the services on the files in the folder `data`, which is made if it is missing; `None` keeps everything in
    /// memory. Messages that were in flight become visible at once: whoever held them is gone.
    ///
    /// # Errors
    /// Another process has the folder open, or the file is damaged, missing, or cannot be written.
    pub fn open(data: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        Self::open_watched(data, clock, None)
    }

    /// Opens the services as [`open`](Self::open) does, each request of which `watch` sees first.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_watched(data: Option<&Path>, clock: Clock, watch: Option<Watch>) -> anyhow::Result<Self> {
        let mut folder = data.map(Folder::lock).transpose()?;
        folder.as_ref().map_or(Ok(()), |folder| folder.check(engine::FILE))?;
        let engine = Engine::open(data, clock.clone())?;
        folder.as_mut().map_or(Ok(()), Folder::complete)?;
        Ok(Self(Arc::new(Services { engine, clock, watch, _folder: folder })))
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
            .identity_cache(IdentityCache::no_cache())
            // There is no stream that could stall, and a long poll must not be taken for one.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(aws::timeouts())
            .http_client(self.clone())
            .build()
    }

    /// Answers one request as AWS would, errors included.
    pub async fn call(&self, mut request: HttpRequest) -> HttpResponse {
        if let Some(watch) = self.0.watch {
            watch(&request);
        }
        let Ok(body) = request.take_body().collect().await else {
            return Reply::from(Fault::serialization("the request's body cannot be read")).into();
        };
        self.0.answer(&request, body.to_bytes()).await.unwrap_or_else(Reply::from).into()
    }

    /// Waits until everything that has been answered is on the disk, safe from a loss of power. Without that it is safe
    /// from the death of the process alone. Many who wait at once wait for one write.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.0.engine.flush().await
    }

    /// Makes the queue `name`, or gives the existing one these settings.
    ///
    /// # Errors
    /// The dead-letter queue does not exist, or the file cannot be written.
    pub fn create_queue(&self, name: &str, settings: QueueSettings) -> anyhow::Result<()> {
        let made = self.0.engine.now(|state| {
            let (connection, queues, _) = state.parts();
            queues.create(connection, name, settings).map_err(|error| Fault::internal(&format!("{error:#}")))
        });
        made.map_err(|fault| anyhow::anyhow!("{}", fault.message()))
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
        scheduler::next_due(&self.0.engine).await
    }

    /// Forgets a schedule whose target has been invoked.
    ///
    /// # Errors
    /// The file cannot be written; the schedule then fires again when the folder is next opened.
    pub fn schedule_done(&self, schedule: &DueSchedule) -> anyhow::Result<()> {
        let done = self.0.engine.now(|state| {
            let (connection, _, schedules) = state.parts();
            schedules.done(connection, schedule)
        });
        done.map_err(|fault| anyhow::anyhow!("cannot delete the schedule {}: {}", schedule.name, fault.message()))
    }

    /// Gives back a schedule whose target could not be invoked: it is due again after `retry_in`.
    pub fn schedule_failed(&self, schedule: &DueSchedule, retry_in: Duration) {
        let given_back = self.0.engine.now(|state| {
            state.schedules.failed(schedule, retry_in);
            Ok(())
        });
        if let Err(fault) = given_back {
            tracing::error!(error = fault.message(), "a schedule was given back in vain: it fires at the next start");
        }
    }

    /// Deletes the `DynamoDB` items whose time to live is over and tells how many there were, giving way to requests on
    /// the way. AWS does so by itself within days.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub async fn sweep_expired_items(&self) -> anyhow::Result<usize> {
        let now_s = self.0.clock.now().unix_seconds();
        let mut sweep = dynamodb::Sweep::default();
        while !sweep.done {
            let further = self.0.engine.run(move |state| sweep.go_on(&state.storage, now_s)).await;
            sweep = further.map_err(|fault| anyhow::anyhow!("cannot delete expired items: {}", fault.message()))?;
        }
        Ok(sweep.deleted)
    }
}

/// The ARN of the queue at `queue_url`.
pub fn queue_arn_of(queue_url: &str) -> String {
    sqs::queue_arn(queue_url.rsplit('/').next().unwrap_or_default())
}

impl Services {
    async fn answer(&self, request: &HttpRequest, body: Bytes) -> Result<Reply, Fault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if let Some(operation) = target.strip_prefix("DynamoDB_20120810.").map(str::to_owned) {
            self.engine.run(move |state| dynamodb::call(&state.storage, &operation, &body)).await
        } else if target == "AmazonSQS.ReceiveMessage" {
            sqs::receive(&self.engine, &body).await.map(Reply::ok)
        } else if let Some(action) = target.strip_prefix("AmazonSQS.").map(str::to_owned) {
            let call = move |state: &mut State| {
                let (connection, queues, _) = state.parts();
                queues.call(connection, &action, &body)
            };
            self.engine.run(call).await.map(Reply::ok)
        } else if let Some(name) = wire::path(request.uri()).strip_prefix("/schedules/").map(str::to_owned) {
            let method = request.method().to_owned();
            let group = wire::query_value(request.uri(), "groupName").map(str::to_owned);
            let call = move |state: &mut State| {
                let (connection, _, schedules) = state.parts();
                schedules.call(connection, &method, &name, group.as_deref(), &body)
            };
            self.engine.run(call).await.map(Reply::ok)
        } else {
            Err(Fault::unknown_operation(&format!("{} {} {target}", request.method(), request.uri())))
        }
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
