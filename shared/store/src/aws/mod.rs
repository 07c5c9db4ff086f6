//! How a Lambda function reaches AWS: its configuration, which it reads from the environment, and its time limits. The SDK's
//! own loader would also look into files, ask other services, and repeat this for each client. A cold start would pay for all
//! of that (ADR 15).

mod clients;
mod errors;
mod http_client;
#[cfg(test)]
mod silent_tests;

pub use clients::{Clients, Lazy};
pub use errors::{SettingError, causes, is_throttling};

pub(crate) use errors::back_off;

use aws_config::{BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_types::timeout::TimeoutConfig;
use http_client::OneHttpClient;
use std::time::Duration;

// The time limits below must fit into the 45 s of a function (`Timeout` in template.yaml). `deliver` spends them as follows:
//
// | step | at most |
// |---|---|
// | reading the batch | 6 s, one operation |
// | waiting for a request's admission (`shared/endpoint/src/client.rs`) | 2 s |
// | writing the lease, the POST, recording the attempt | 30 s, the longest lease: 5 s, 20 s, and the rest of it |
// | following up | 6 s, one operation |
//
// That is 44 s. If AWS answers no call at all, the function still ends by itself and returns its messages, instead of being cut
// off with all of them in flight. A test below checks the sum.

/// The time limit for connecting to AWS, TCP and TLS included. Within a region this takes milliseconds. A whole second means a
/// lost packet, and the next attempt may find another host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit for one attempt of a call. DynamoDB, SQS and Scheduler answer within tens of milliseconds. An answer that
/// takes longer than this will not arrive, most often because the connection died while Lambda had the process frozen.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);

/// The time limit for a call with all its attempts: two that are never answered, and the SDK's wait of up to a second between
/// them.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// The timeout of the functions: `Timeout` in template.yaml.
pub const FUNCTION_TIMEOUT: Duration = Duration::from_secs(45);

/// Returns the time limits of every SDK client. For calls that wait on purpose, see [`long_poll_timeouts`].
pub fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
    timeouts.operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}

/// Returns the time limits of a call that AWS may keep open for `wait`, such as `ReceiveMessage` with `WaitTimeSeconds`. They
/// count from the moment at which the answer is due.
pub fn long_poll_timeouts(wait: Duration) -> TimeoutConfig {
    let timeouts = timeouts().into_builder().operation_attempt_timeout(wait + ATTEMPT_TIMEOUT);
    timeouts.operation_timeout(wait + OPERATION_TIMEOUT).build()
}

/// Reads the configuration from the environment: region, credentials, and the address of the services if it is not AWS's own
/// (`AWS_ENDPOINT_URL`).
pub fn config() -> Result<SdkConfig, SettingError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(variable("AWS_REGION").map(Region::new))
        .credentials_provider(credentials)
        .timeout_config(timeouts())
        .http_client(OneHttpClient::new(variable("AWS_CA_BUNDLE"))?);
    config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::delivery::LEASE_MAX;

    #[test]
    fn a_batch_ends_within_the_functions_time_if_aws_never_answers() {
        assert!(OPERATION_TIMEOUT + LEASE_MAX + OPERATION_TIMEOUT + Duration::from_secs(2) <= FUNCTION_TIMEOUT);
        assert!(ATTEMPT_TIMEOUT * 2 + Duration::from_secs(1) <= OPERATION_TIMEOUT, "two attempts fit");
    }
}
