//! How a Lambda function reaches AWS: as the environment says that Lambda gives it, and for how long it waits there. The
//! SDK's own loader also looks into files, at other services and at each client anew; a cold start would pay for all of
//! that (ADR 15).

mod http_client;
#[cfg(test)]
mod silent_tests;

use crate::config::ConfigError;
use aws_config::{BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_types::timeout::TimeoutConfig;
use http_client::OneHttpClient;
use std::time::Duration;

// What the times below must fit into. A function has 30 s (`Timeout` in template.yaml) and `deliver` spends them so:
//
// | step | at most |
// |---|---|
// | reading the batch | 6 s, one operation |
// | waiting for a request's admission (`endpoint/client.rs`) | 2 s |
// | writing the lease, the POST, recording the attempt | 15 s, the lease: 5 s, 5 s, and the rest of it |
// | following up | 6 s, one operation |
//
// That is 29 s: a function whose every call meets an AWS that does not answer still ends by itself and gives its messages
// back, instead of being cut off with all of them in flight. A test below holds the sum to the lease.

/// Time to reach AWS over TCP and TLS: within a region that takes milliseconds, so a second is a packet lost, and the
/// next attempt finds another host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for one attempt of a call. DynamoDB, SQS and Scheduler answer within tens of milliseconds; what has not come by
/// then does not come, above all over a connection that died while Lambda had the process frozen.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);

/// Time for a call with all of its attempts: two that are never answered and the SDK's wait of up to a second between them.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// How long every SDK client waits for AWS. Of a call that waits on purpose, see [`long_poll_timeouts`].
pub fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
    timeouts.operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}

/// The same for a call that AWS may keep open for `wait`, as `ReceiveMessage` with `WaitTimeSeconds`: the time counts from
/// when the answer is due.
pub fn long_poll_timeouts(wait: Duration) -> TimeoutConfig {
    let timeouts = timeouts().into_builder().operation_attempt_timeout(wait + ATTEMPT_TIMEOUT);
    timeouts.operation_timeout(wait + OPERATION_TIMEOUT).build()
}

/// Region, credentials, and where the services are if not where AWS has them (`AWS_ENDPOINT_URL`).
pub(crate) fn config() -> Result<SdkConfig, ConfigError> {
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
    use crate::delivery::LEASE;

    /// `Timeout` in template.yaml.
    const FUNCTION_TIMEOUT: Duration = Duration::from_secs(30);

    #[test]
    fn a_batch_that_aws_never_answers_ends_within_the_functions_time() {
        assert!(OPERATION_TIMEOUT + LEASE + OPERATION_TIMEOUT + Duration::from_secs(2) <= FUNCTION_TIMEOUT);
        assert!(ATTEMPT_TIMEOUT * 2 + Duration::from_secs(1) <= OPERATION_TIMEOUT, "two attempts fit");
    }
}
