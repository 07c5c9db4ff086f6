//! What a deployment sets in the environment, parsed once into typed values.

use crate::{endpoint::EndpointPolicy, schedule::RetrySchedule};
use std::{num::NonZeroU32, str::FromStr, time::Duration};

/// Webhooks that one account may have, unless the operator says otherwise.
pub const WEBHOOKS_MAX: usize = 10_000;

/// The settings of one function. Every function gets the same environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// `WEBHOOKS_TABLE`: webhooks, event types, tokens.
    pub webhooks_table: String,
    /// `EVENTS_TABLE`: payloads and idempotency keys.
    pub events_table: String,
    /// `DELIVERIES_TABLE`: deliveries with their attempts.
    pub deliveries_table: String,
    /// `DELIVERIES_QUEUE_URL`: wake-ups of deliveries.
    pub deliveries_queue_url: String,
    /// `SLOW_DELIVERIES_QUEUE_URL`: tasks for endpoints that have just timed out, apart from all others.
    pub slow_deliveries_queue_url: String,
    /// `EVENTS_QUEUE_URL`: events to publish, and pages of fan-outs and recoveries.
    pub events_queue_url: String,
    /// `RETRY_FUNCTION_ARN`: what a schedule invokes.
    pub retry_function_arn: String,
    /// `SCHEDULER_ROLE_ARN`: the role in which it does.
    pub scheduler_role_arn: String,
    /// `SCHEDULER_DEAD_LETTER_ARN`: the queue that takes a wake-up which the schedule could not hand over.
    pub scheduler_dead_letter_arn: Option<String>,
    /// `SCHEDULE_GROUP`: the group that the schedules are in.
    pub schedule_group: String,
    /// `RETRY_SCHEDULE`
    pub retry_schedule: RetrySchedule,
    /// `RETENTION_DAYS` (30): how long events and deliveries are kept.
    pub retention: Duration,
    /// `PUBLISH_RATE_LIMIT` (none): events a second that one account may publish through the API.
    pub publish_rate_limit: Option<NonZeroU32>,
    /// `MAX_WEBHOOKS` (10,000): webhooks that one account may have.
    pub webhooks_max: usize,
    /// `STRICT_ENDPOINTS` (1): where deliveries may go; never to `AWS_LAMBDA_RUNTIME_API`.
    pub endpoint_policy: EndpointPolicy,
}

/// A setting is missing or wrong.
#[derive(Debug, thiserror::Error)]
#[error("{name} {fault}")]
pub struct ConfigError {
    name: &'static str,
    fault: String,
}

impl ConfigError {
    pub(crate) fn new(name: &'static str, fault: impl ToString) -> Self {
        Self { name, fault: fault.to_string() }
    }
}

impl Config {
    /// Reads the settings with `get`, which looks a variable up.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name: &'static str| get(name).filter(|value| !value.is_empty());
        let required = |name| text(name).ok_or_else(|| ConfigError::new(name, "is not set"));
        let webhooks_max = parsed("MAX_WEBHOOKS", text("MAX_WEBHOOKS"), WEBHOOKS_MAX)?;
        if webhooks_max == 0 {
            return Err(ConfigError::new("MAX_WEBHOOKS", "must be at least 1"));
        }
        let days: u64 = parsed("RETENTION_DAYS", text("RETENTION_DAYS"), 30)?;
        if !(1..=3650).contains(&days) {
            return Err(ConfigError::new("RETENTION_DAYS", "must be 1 to 3650"));
        }
        Ok(Self {
            webhooks_table: required("WEBHOOKS_TABLE")?,
            events_table: required("EVENTS_TABLE")?,
            deliveries_table: required("DELIVERIES_TABLE")?,
            deliveries_queue_url: required("DELIVERIES_QUEUE_URL")?,
            slow_deliveries_queue_url: required("SLOW_DELIVERIES_QUEUE_URL")?,
            events_queue_url: required("EVENTS_QUEUE_URL")?,
            retry_function_arn: required("RETRY_FUNCTION_ARN")?,
            scheduler_role_arn: required("SCHEDULER_ROLE_ARN")?,
            scheduler_dead_letter_arn: text("SCHEDULER_DEAD_LETTER_ARN"),
            schedule_group: required("SCHEDULE_GROUP")?,
            retry_schedule: parsed("RETRY_SCHEDULE", text("RETRY_SCHEDULE"), RetrySchedule::default())?,
            retention: Duration::from_secs(days * 24 * 60 * 60),
            publish_rate_limit: parsed("PUBLISH_RATE_LIMIT", text("PUBLISH_RATE_LIMIT"), RateLimit(None))?.0,
            webhooks_max,
            endpoint_policy: match text("STRICT_ENDPOINTS").as_deref() {
                None | Some("1" | "true") => EndpointPolicy::Strict,
                Some("0" | "false") => loopback_allowed(text("AWS_LAMBDA_RUNTIME_API"))?,
                Some(_) => return Err(ConfigError::new("STRICT_ENDPOINTS", "must be 0 or 1")),
            },
        })
    }
}

/// Loopback receivers, less Lambda's runtime API: `runtime_api` is where Lambda has it (`HOST:PORT`), if this is Lambda.
fn loopback_allowed(runtime_api: Option<String>) -> Result<EndpointPolicy, ConfigError> {
    let Some(address) = runtime_api else { return Ok(EndpointPolicy::AllowLoopback) };
    let port = address.rsplit_once(':').map_or("80", |(_, port)| port).parse();
    port.map(EndpointPolicy::AllowLoopbackExcept).map_err(|fault| ConfigError::new("AWS_LAMBDA_RUNTIME_API", fault))
}

/// A whole number from 1 on; nothing, and 0, are no limit.
struct RateLimit(Option<NonZeroU32>);

impl FromStr for RateLimit {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|limit: u32| Self(NonZeroU32::new(limit))).map_err(|_| "must be a whole number")
    }
}

fn parsed<T: FromStr<Err: ToString>>(name: &'static str, text: Option<String>, default: T) -> Result<T, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    text.trim().parse().map_err(|fault: T::Err| ConfigError::new(name, fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(name: &str, value: &str) -> Result<Config, ConfigError> {
        Config::read(|asked| Some(if asked == name { value } else { default_of(asked)? }.to_owned()))
    }

    fn default_of(name: &str) -> Option<&'static str> {
        let optional = [
            "AWS_LAMBDA_RUNTIME_API",
            "MAX_WEBHOOKS",
            "PUBLISH_RATE_LIMIT",
            "RETENTION_DAYS",
            "RETRY_SCHEDULE",
            "STRICT_ENDPOINTS",
            "SCHEDULER_DEAD_LETTER_ARN",
        ];
        (!optional.contains(&name)).then_some("x")
    }

    #[test]
    fn a_deployment_is_strict_unless_it_says_otherwise() {
        assert_eq!(read_with("", "").expect("valid").endpoint_policy, EndpointPolicy::Strict);
        assert_eq!(read_with("STRICT_ENDPOINTS", "0").expect("valid").endpoint_policy, EndpointPolicy::AllowLoopback);
    }

    #[test]
    fn loopback_in_lambda_leaves_out_the_runtime_api() {
        let policy = |address: &str| {
            let lax = |asked: &str| match asked {
                "STRICT_ENDPOINTS" => Some("0".to_owned()),
                "AWS_LAMBDA_RUNTIME_API" => Some(address.to_owned()),
                _ => default_of(asked).map(str::to_owned),
            };
            Config::read(lax).map(|config| config.endpoint_policy).map_err(|fault| fault.to_string())
        };
        assert_eq!(policy("127.0.0.1:9001"), Ok(EndpointPolicy::AllowLoopbackExcept(9001)));
        assert_eq!(policy("127.0.0.1"), Ok(EndpointPolicy::AllowLoopbackExcept(80)));
        assert!(policy("127.0.0.1:x").is_err_and(|fault| fault.starts_with("AWS_LAMBDA_RUNTIME_API")));
    }

    #[test]
    fn publishing_is_limited_where_a_limit_is_set() {
        let limit = |value| read_with("PUBLISH_RATE_LIMIT", value).expect("valid").publish_rate_limit;
        assert_eq!([limit(""), limit("0"), limit("50")], [None, None, NonZeroU32::new(50)]);
    }

    #[test]
    fn says_which_setting_is_wrong() {
        for (name, value) in [
            ("RETRY_SCHEDULE", "soon"),
            ("RETENTION_DAYS", "0"),
            ("PUBLISH_RATE_LIMIT", "-1"),
            ("MAX_WEBHOOKS", "0"),
            ("STRICT_ENDPOINTS", "maybe"),
            ("EVENTS_TABLE", ""),
        ] {
            let fault = read_with(name, value).expect_err(name).to_string();
            assert!(fault.starts_with(name), "{fault}");
        }
    }
}
