//! What every handler works with: the SDK's clients, the settings, the time and the randomness.

use crate::{config::Config, random::Random, time::Clock};
use aws_config::{BehaviorVersion, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};
use std::{error::Error, iter};

/// Clients, settings, clock and randomness. Cloned freely: clones share connections.
#[derive(Clone, Debug)]
pub struct App {
    /// Tables.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Queues.
    pub sqs: aws_sdk_sqs::Client,
    /// One-time schedules.
    pub scheduler: aws_sdk_scheduler::Client,
    /// Settings.
    pub config: Config,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl App {
    /// An app that speaks to AWS as `aws` says: its region, credentials and HTTP client.
    pub fn new(aws: &SdkConfig, config: Config, clock: Clock, random: Random) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(aws),
            sqs: aws_sdk_sqs::Client::new(aws),
            scheduler: aws_sdk_scheduler::Client::new(aws),
            config,
            clock,
            random,
        }
    }

    /// The app of a Lambda function: settings from the environment, and a first call to DynamoDB, so that connecting is paid
    /// for while the function starts and not by its first request.
    pub async fn in_lambda() -> Result<Self, crate::config::ConfigError> {
        let config = Config::read(|name| std::env::var(name).ok())?;
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .http_client(OneHttpClient::new())
            // Where Lambda puts them. The chain of other places has a client, and so a store, of its own.
            .credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .load()
            .await;
        let app = Self::new(&aws, config, Clock::system(), Random::system());
        app.warm().await;
        Ok(app)
    }

    /// Opens the connection to DynamoDB. A failure is no reason not to start: the first request will try again.
    async fn warm(&self) {
        if let Err(error) = crate::store::webhooks::touch(self).await {
            tracing::warn!(%error, "the first call to DynamoDB failed");
        }
    }
}

/// The SDK's own HTTP client, for all of a function's SDK clients: each would otherwise make a store of all root certificates
/// for itself, once to see that it can and once to use it. That was a fifth of a cold start.
#[derive(Debug)]
struct OneHttpClient(SharedHttpClient);

impl OneHttpClient {
    fn new() -> Self {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        Self(aws_smithy_http_client::Builder::new().tls_provider(tls).build_https())
    }
}

impl HttpClient for OneHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }
}

/// An SDK error with all its causes, in one line. The SDK's own form of that adds the raw answer, in which an item may be,
/// and in an item a secret.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
