//! What every handler works with: the SDK's clients, the settings, the time and the randomness.

use crate::{
    aws,
    config::{Config, ConfigError},
    random::Random,
    store::event_types::FoundTypes,
    time::Clock,
};
use aws_config::SdkConfig;
use std::{
    error::Error,
    iter,
    ops::Deref,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// Time for the first call of a function that starts. Lambda allows all of a start 10 s and bills them; without the call
/// the first request connects by itself.
const WARM_TIMEOUT: Duration = Duration::from_secs(2);

/// Clients, settings, clock and randomness. Cloned freely: clones share connections.
#[derive(Clone, Debug)]
pub struct App {
    /// Tables.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Queues.
    pub sqs: Lazy<aws_sdk_sqs::Client>,
    /// One-time schedules.
    pub scheduler: Lazy<aws_sdk_scheduler::Client>,
    /// Settings.
    pub config: Config,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// The custom event types that this process has found lately.
    pub found_types: FoundTypes,
}

impl App {
    /// An app that speaks to AWS as `aws` says: its region, credentials and HTTP client.
    pub fn new(aws: &SdkConfig, config: Config, clock: Clock, random: Random) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(aws),
            sqs: Lazy::new(aws, aws_sdk_sqs::Client::new),
            scheduler: Lazy::new(aws, aws_sdk_scheduler::Client::new),
            config,
            clock,
            random,
            found_types: FoundTypes::default(),
        }
    }

    /// The app of a Lambda function: settings from the environment, and a first call to DynamoDB, so that connecting is paid
    /// for while the function starts and not by its first request.
    pub async fn in_lambda() -> Result<Self, ConfigError> {
        let config = Config::read(|name| std::env::var(name).ok())?;
        let aws = aws::config()?;
        let app = Self::new(&aws, config, Clock::system(), Random::system());
        app.warm().await;
        Ok(app)
    }

    /// Opens the connection to DynamoDB. A failure is no reason not to start: the first request will try again.
    pub(crate) async fn warm(&self) {
        match tokio::time::timeout(WARM_TIMEOUT, crate::store::webhooks::touch(self)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the first call to DynamoDB failed"),
            Err(_) => tracing::warn!("the first call to DynamoDB was not answered in time"),
        }
    }
}

/// A client that is made when it is first used: no cold start pays for what most runs of a function do without. Clones share
/// it.
#[derive(Clone, Debug)]
pub struct Lazy<C>(Arc<LazyLock<C, Box<dyn FnOnce() -> C + Send>>>);

impl<C> Lazy<C> {
    /// One that `make` makes from `aws`.
    pub fn new<A: Clone + Send + 'static>(aws: &A, make: impl FnOnce(&A) -> C + Send + 'static) -> Self {
        let aws = aws.clone();
        Self(Arc::new(LazyLock::new(Box::new(move || make(&aws)))))
    }
}

impl<C> Deref for Lazy<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

/// The wait before the first repetition of what AWS did in part.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Waits before try number `tries` (from 0, which does not wait) of what AWS did in part: 50 ms, doubled with each try, less up to
/// half of it by chance, so that those who were refused together do not come back together.
pub(crate) async fn back_off(app: &App, tries: u32) {
    if let Some(doublings) = tries.checked_sub(1) {
        let longest = BACK_OFF * (1 << doublings.min(6));
        tokio::time::sleep(longest.mul_f64(1.0 - app.random.share() / 2.0)).await;
    }
}

/// Whether an SDK error's code says that the service takes no more requests now, and that a later one may succeed.
pub fn is_throttling(code: Option<&str>) -> bool {
    let codes = [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "KmsThrottled",
    ];
    code.is_some_and(|code| codes.contains(&code))
}

/// An SDK error with all its causes, in one line. The SDK's own form of that adds the raw answer, in which an item may be,
/// and in an item a secret.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
