//! AWS in this process: an HTTP client for the AWS SDK that answers the requests to DynamoDB, SQS and EventBridge Scheduler
//! itself. It uses no network and no sockets.
//!
//! The code that talks to AWS cannot tell the difference, so the code that runs here is the code that is deployed.
//!
//! | file | holds |
//! |---|---|
//! | `clients.rs` | SDK clients that do not sign their requests |
//! | `engine.rs` | the one SQLite file, and the transactions that the services share |
//! | `folder.rs` | the data folder: its lock, and the check of its files |
//! | `wire.rs` | replies and errors in AWS's JSON protocols |
//! | `dynamodb/` | DynamoDB: the engine, and the fast path of frequent requests |
//! | `scheduler.rs` | EventBridge Scheduler |
//! | `sqs/mod.rs` | SQS: its operations and its queues |
//! | `sqs/index.rs` | the order in which a queue's messages are received |
//! | `sqs/log.rs` | the stored queues and messages |
//! | `sqs/shapes.rs` | SQS's requests and their limits |
//! | `waiting.rs` | the calls that wait: long polls and due schedules |
//!
//! What belongs to Hookline stays outside: which queues there are, and what a schedule invokes.
//!
//! A request first yields to the other tasks, and is then answered in one step and without a thread. A test under simulated
//! time therefore runs the same way every time.

mod clients;
mod dynamodb;
mod engine;
mod folder;
mod scheduler;
mod sqs;
#[cfg(test)]
mod tests;
mod waiting;
mod wire;

pub use scheduler::DueSchedule;
pub use sqs::QueueAttributes;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, IdentityCache, SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use bytes::Bytes;
use domain::time::Clock;
use engine::{Engine, State};
use folder::{Check, Folder};
use http_body_util::BodyExt;
use std::{fmt, path::Path, sync::Arc, time::Duration};
use store::aws;
use tokio::time::Instant;
use wire::{Fault, Reply};

/// How long the deletion of expired items rests for each microsecond of work.
const REST: Duration = Duration::from_micros(4);
/// The region in every ARN and URL.
const REGION: &str = "us-east-1";
/// The account in every ARN and URL. No real account has this number.
const ACCOUNT: &str = "000000000000";

/// `DynamoDB`, SQS and EventBridge Scheduler in this process.
///
/// Clones share one state. The data folder stays locked until the last clone is dropped, including the clones inside SDK
/// clients.
#[derive(Clone)]
pub struct EmbeddedAws(Arc<Services>);

struct Services {
    /// The check of the file, if the process before was killed. It is dropped before the engine, which must be the last to close the file:
    /// then SQLite copies the whole log into it.
    check: Option<Check>,
    engine: Engine,
    clock: Clock,
    /// Is called with each request before it is answered.
    watch: Option<Watch>,
    /// Keeps the folder locked, and notes the file's state once the engine has closed it.
    folder: Option<Folder>,
}

impl Drop for Services {
    fn drop(&mut self) {
        let Some(folder) = &mut self.folder else { return };
        if self.check.as_ref().is_some_and(Check::is_passed) {
            folder.trust(engine::FILE);
        }
        if self.engine.is_damaged() {
            folder.distrust();
        }
    }
}

/// A function that is called with each request before it is answered. Tests use it to check or record requests.
pub type Watch = fn(&HttpRequest);

impl EmbeddedAws {
    /// Opens the services on the files in the folder `data`, which it creates if it is missing. `None` keeps everything in
    /// memory. Messages that were in flight become visible at once, because the process that received them has ended.
    ///
    /// # Errors
    /// Another process has the folder open, or the file is damaged, is missing, or cannot be written. After a process that was
    /// killed, only [`checked`](Self::checked) says that it is damaged.
    pub fn open(data: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        Self::open_watched(data, clock, None)
    }

    /// Opens the services as [`open`](Self::open) does, and calls `watch` with each request before it is answered.
    ///
    /// # Errors
    /// The same as those of [`open`](Self::open).
    pub fn open_watched(data: Option<&Path>, clock: Clock, watch: Option<Watch>) -> anyhow::Result<Self> {
        let mut folder = data.map(Folder::lock).transpose()?;
        let is_sound = folder.as_mut().map(|folder| folder.check(engine::FILE)).transpose()?;
        let engine = Engine::open(data, clock.clone())?;
        folder.as_mut().map_or(Ok(()), Folder::complete)?;
        let unknown = data.filter(|_| is_sound == Some(false));
        let check = unknown.map(|folder| Check::begin(folder, engine::FILE)).transpose()?;
        Ok(Self(Arc::new(Services { check, engine, clock, watch, folder })))
    }

    /// Waits until the file is known to be sound. After a process that was killed, that takes as long as reading all of it.
    ///
    /// # Errors
    /// The file is damaged. The next [`open`](Self::open) fails before it writes anything.
    pub async fn checked(&self) -> anyhow::Result<()> {
        match &self.0.check {
            Some(check) => check.end().await,
            None => Ok(()),
        }
    }

    /// Returns the configuration for SDK clients that talk to this AWS. To put something in between (a fault, a count),
    /// replace its HTTP client by one that calls [`call`](Self::call).
    pub fn sdk_config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "embedded", "embedded", None, None, "embedded",
            )))
            .identity_cache(IdentityCache::no_cache())
            // No response is a stream, and the protection would take a long poll for a stalled one.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(aws::timeouts())
            .http_client(self.clone())
            .build()
    }

    /// Answers one request as AWS would, including with AWS's errors.
    pub async fn call(&self, mut request: HttpRequest) -> HttpResponse {
        if let Some(watch) = self.0.watch {
            watch(&request);
        }
        let Ok(body) = request.take_body().collect().await else {
            return Reply::from(Fault::serialization("cannot read the body of the request")).into();
        };
        self.0.answer(&request, body.to_bytes()).await.unwrap_or_else(Reply::from).into()
    }

    /// Waits until everything that has been answered is on the disk, where a power cut cannot undo it. Before that, it
    /// survives only the end of the process. Concurrent calls share one write.
    ///
    /// # Errors
    /// The disk cannot be written to.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.0.engine.flush().await
    }

    /// Creates the queue `name`, or changes the settings of the existing one.
    ///
    /// # Errors
    /// The dead-letter queue does not exist, or the file cannot be written to.
    pub fn create_queue(&self, name: &str, settings: QueueAttributes) -> anyhow::Result<()> {
        let created = self.0.engine.now(|state| {
            let (connection, queues, _) = state.parts();
            queues.create(connection, name, settings).map_err(|error| Fault::internal(&format!("{error:#}")))
        });
        created.map_err(|fault| anyhow::anyhow!("{}", fault.message()))
    }

    /// Returns the URL of the queue `name`.
    pub fn queue_url(&self, name: &str) -> String {
        sqs::queue_url(name)
    }

    /// Returns the ARN of the queue `name`.
    pub fn queue_arn(&self, name: &str) -> String {
        sqs::queue_arn(name)
    }

    /// Waits until a schedule is due, and returns it. The schedule stays stored until [`schedule_done`](Self::schedule_done)
    /// deletes it, so it fires again after a crash in between. This process does not return it again, unless
    /// [`schedule_failed`](Self::schedule_failed) is called for it. Dropping the future loses nothing.
    pub async fn next_due_schedule(&self) -> DueSchedule {
        waiting::next_due(&self.0.engine).await
    }

    /// Deletes a schedule whose target has been invoked.
    ///
    /// # Errors
    /// The file cannot be written to. The schedule then fires again when the folder is next opened.
    pub fn schedule_done(&self, schedule: &DueSchedule) -> anyhow::Result<()> {
        let done = self.0.engine.now(|state| {
            let (connection, _, schedules) = state.parts();
            schedules.done(connection, schedule)
        });
        done.map_err(|fault| anyhow::anyhow!("cannot delete the schedule {}: {}", schedule.name, fault.message()))
    }

    /// Makes a schedule whose target could not be invoked due again after `retry_in`.
    pub fn schedule_failed(&self, schedule: &DueSchedule, retry_in: Duration) {
        let returned = self.0.engine.now(|state| {
            state.schedules.failed(schedule, retry_in);
            Ok(())
        });
        if let Err(fault) = returned {
            tracing::error!(
                error = fault.message(),
                "a failed schedule could not be rescheduled: it fires at the next start"
            );
        }
    }

    /// Deletes the `DynamoDB` items whose time to live is over, gives their space back to the file system, and returns how many it
    /// deleted. It works in small pieces and rests after each, so that it takes a fifth of a processor at most. AWS deletes such items
    /// by itself, within days.
    ///
    /// # Errors
    /// The file cannot be read or written to.
    pub async fn sweep_expired_items(&self) -> anyhow::Result<usize> {
        let now_s = self.0.clock.now().unix_seconds();
        let mut sweep = dynamodb::Sweep::default();
        while !sweep.done {
            let page = self.0.engine.run(move |state| sweep.page(&state.storage, now_s));
            let swept = and_rest(page).await;
            sweep = swept.map_err(|fault| anyhow::anyhow!("cannot delete expired items: {}", fault.message()))?;
        }
        loop {
            let freed = and_rest(self.0.engine.run(|state| Ok(state.free_pages()?))).await;
            if !freed.map_err(|fault| anyhow::anyhow!("cannot give back space: {}", fault.message()))? {
                return Ok(sweep.deleted);
            }
        }
    }
}

/// Waits for `work`, and then four times as long as it took.
async fn and_rest<T>(work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    tokio::time::sleep(REST * began.elapsed().as_micros().try_into().unwrap_or(u32::MAX)).await;
    done
}

/// Returns the ARN of the queue at `queue_url`.
pub fn queue_arn_of(queue_url: &str) -> String {
    sqs::queue_arn(queue_url.rsplit('/').next().unwrap_or_default())
}

impl Services {
    async fn answer(&self, request: &HttpRequest, body: Bytes) -> Result<Reply, Fault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if let Some(operation) = target.strip_prefix("DynamoDB_20120810.").map(str::to_owned) {
            self.engine.run_unguarded(move |state| dynamodb::call(state, &operation, &body)).await
        } else if target == "AmazonSQS.ReceiveMessage" {
            waiting::receive(&self.engine, &body).await.map(Reply::ok)
        } else if let Some(action) = target.strip_prefix("AmazonSQS.").map(str::to_owned) {
            let call = move |state: &mut State| {
                let (connection, queues, _) = state.parts();
                queues.call(connection, &action, &body)
            };
            self.engine.run(call).await.map(Reply::ok)
        } else if let Some(name) = wire::path(request.uri()).strip_prefix("/schedules/").map(str::to_owned) {
            let group = wire::query_value(request.uri(), "groupName").map(str::to_owned);
            let request = scheduler::Request { method: request.method().to_owned(), name, group, body };
            let call = move |state: &mut State| {
                let (connection, _, schedules) = state.parts();
                schedules.call(connection, &request)
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
