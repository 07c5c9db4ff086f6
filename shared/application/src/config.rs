//! The settings of a deployment: environment variables, parsed once into typed values.

use domain::{
    allowed_origins::AllowedOrigins,
    backoff::RetrySchedule,
    brand::{Accent, Brand, Name},
    endpoint_policy::EndpointPolicy,
    webhook::TrialSchedule,
};
use std::{num::NonZeroU32, str::FromStr, time::Duration};
use store::{QueueSettings, SettingError, TableSettings};

/// The most webhooks of one account, unless the operator sets another number.
pub const WEBHOOKS_MAX: usize = 10_000;

/// The settings of one function. Every function gets the same environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// The names of the tables, and the limits of their items.
    pub tables: TableSettings,
    /// The addresses of the queues, and what a schedule needs.
    pub queues: QueueSettings,
    /// `RETRY_SCHEDULE`: when the attempts of a delivery are due.
    pub retry_schedule: RetrySchedule,
    /// `TRIAL_SCHEDULE`: when a webhook is tried again after failures have disabled it.
    pub trial_schedule: TrialSchedule,
    /// `AUTO_RECOVER` (1): whether webhooks are tried again that leave the option `auto_recover` open.
    pub auto_recover: bool,
    /// `PUBLISH_RATE_LIMIT` (none): the most events a second that one account may publish through the API.
    pub publish_rate_limit: Option<NonZeroU32>,
    /// `CORS_ALLOW_ORIGINS` (none): whose web pages may call the API from a browser.
    pub cors_allow_origins: AllowedOrigins,
    /// `PORTAL_NAME`, `PORTAL_ACCENT` (Hookline's): how the portal presents itself.
    pub brand: Brand,
    /// `PORTAL_FRAME_ANCESTORS` (none): whose web pages may show the portal in a frame.
    pub frame_ancestors: AllowedOrigins,
    /// `STRICT_ENDPOINTS` (1): where deliveries may be sent; never to `AWS_LAMBDA_RUNTIME_API`.
    pub endpoint_policy: EndpointPolicy,
}

impl Config {
    /// Reads the settings with `get`, which looks a variable up.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let text = |name: &'static str| get(name).filter(|value| !value.is_empty());
        let required = |name| text(name).ok_or_else(|| SettingError::new(name, "is not set"));
        let webhooks_max = parsed("MAX_WEBHOOKS", text("MAX_WEBHOOKS"), WEBHOOKS_MAX)?;
        if webhooks_max == 0 {
            return Err(SettingError::new("MAX_WEBHOOKS", "must be at least 1"));
        }
        let days: u64 = parsed("RETENTION_DAYS", text("RETENTION_DAYS"), 30)?;
        if !(1..=3650).contains(&days) {
            return Err(SettingError::new("RETENTION_DAYS", "must be 1 to 3650"));
        }
        let tables = TableSettings {
            webhooks: required("WEBHOOKS_TABLE")?,
            events: required("EVENTS_TABLE")?,
            deliveries: required("DELIVERIES_TABLE")?,
            retention: Duration::from_secs(days * 24 * 60 * 60),
            webhooks_max,
        };
        let queues = QueueSettings {
            deliveries_url: required("DELIVERIES_QUEUE_URL")?,
            slow_deliveries_url: required("SLOW_DELIVERIES_QUEUE_URL")?,
            events_url: required("EVENTS_QUEUE_URL")?,
            retry_function_arn: required("RETRY_FUNCTION_ARN")?,
            scheduler_role_arn: required("SCHEDULER_ROLE_ARN")?,
            scheduler_dead_letter_arn: text("SCHEDULER_DEAD_LETTER_ARN"),
            schedule_group: required("SCHEDULE_GROUP")?,
        };
        Ok(Self {
            tables,
            queues,
            retry_schedule: parsed("RETRY_SCHEDULE", text("RETRY_SCHEDULE"), RetrySchedule::default())?,
            trial_schedule: parsed("TRIAL_SCHEDULE", text("TRIAL_SCHEDULE"), TrialSchedule::default())?,
            auto_recover: switch("AUTO_RECOVER", text("AUTO_RECOVER").as_deref())?.unwrap_or(true),
            publish_rate_limit: parsed("PUBLISH_RATE_LIMIT", text("PUBLISH_RATE_LIMIT"), RateLimit(None))?.0,
            cors_allow_origins: parsed("CORS_ALLOW_ORIGINS", text("CORS_ALLOW_ORIGINS"), AllowedOrigins::NONE)?,
            brand: Brand {
                name: parsed("PORTAL_NAME", text("PORTAL_NAME"), Name::default())?,
                accent: parsed("PORTAL_ACCENT", text("PORTAL_ACCENT"), Accent::default())?,
            },
            frame_ancestors: parsed("PORTAL_FRAME_ANCESTORS", text("PORTAL_FRAME_ANCESTORS"), AllowedOrigins::NONE)?,
            endpoint_policy: match switch("STRICT_ENDPOINTS", text("STRICT_ENDPOINTS").as_deref())? {
                None | Some(true) => EndpointPolicy::Strict,
                Some(false) => loopback_allowed(text("AWS_LAMBDA_RUNTIME_API"))?,
            },
        })
    }
}

/// Returns the policy that allows loopback receivers, but not Lambda's Runtime API at `runtime_api` (`HOST:PORT`), if there is
/// one.
fn loopback_allowed(runtime_api: Option<String>) -> Result<EndpointPolicy, SettingError> {
    let Some(address) = runtime_api else { return Ok(EndpointPolicy::AllowLoopback) };
    let port = address.rsplit_once(':').map_or("80", |(_, port)| port).parse();
    port.map(EndpointPolicy::AllowLoopbackExcept).map_err(|fault| SettingError::new("AWS_LAMBDA_RUNTIME_API", fault))
}

/// Reads a setting that is on or off.
fn switch(name: &'static str, text: Option<&str>) -> Result<Option<bool>, SettingError> {
    match text {
        None => Ok(None),
        Some("1" | "true") => Ok(Some(true)),
        Some("0" | "false") => Ok(Some(false)),
        Some(_) => Err(SettingError::new(name, "must be 0 or 1")),
    }
}

/// A limit, as a whole number. 0 means no limit.
struct RateLimit(Option<NonZeroU32>);

impl FromStr for RateLimit {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|limit: u32| Self(NonZeroU32::new(limit))).map_err(|_| "must be a whole number")
    }
}

fn parsed<T: FromStr<Err: ToString>>(name: &'static str, text: Option<String>, default: T) -> Result<T, SettingError> {
    let Some(text) = text else { return Ok(default) };
    text.trim().parse().map_err(|fault: T::Err| SettingError::new(name, fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(name: &str, value: &str) -> Result<Config, SettingError> {
        Config::read(|asked| Some(if asked == name { value } else { default_of(asked)? }.to_owned()))
    }

    fn default_of(name: &str) -> Option<&'static str> {
        let optional = [
            "AUTO_RECOVER",
            "AWS_LAMBDA_RUNTIME_API",
            "CORS_ALLOW_ORIGINS",
            "MAX_WEBHOOKS",
            "PORTAL_ACCENT",
            "PORTAL_FRAME_ANCESTORS",
            "PORTAL_NAME",
            "PUBLISH_RATE_LIMIT",
            "RETENTION_DAYS",
            "RETRY_SCHEDULE",
            "STRICT_ENDPOINTS",
            "SCHEDULER_DEAD_LETTER_ARN",
            "TRIAL_SCHEDULE",
        ];
        (!optional.contains(&name)).then_some("x")
    }

    #[test]
    fn endpoints_are_strict_by_default() {
        assert_eq!(read_with("", "").expect("valid").endpoint_policy, EndpointPolicy::Strict);
        assert_eq!(read_with("STRICT_ENDPOINTS", "0").expect("valid").endpoint_policy, EndpointPolicy::AllowLoopback);
    }

    #[test]
    fn allowing_loopback_in_lambda_excludes_the_runtime_api() {
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
    fn publishing_is_limited_only_if_a_limit_is_set() {
        let limit = |value| read_with("PUBLISH_RATE_LIMIT", value).expect("valid").publish_rate_limit;
        assert_eq!([limit(""), limit("0"), limit("50")], [None, None, NonZeroU32::new(50)]);
    }

    #[test]
    fn an_error_names_the_setting() {
        for (name, value) in [
            ("RETRY_SCHEDULE", "soon"),
            ("TRIAL_SCHEDULE", "5m,1m"),
            ("AUTO_RECOVER", "maybe"),
            ("RETENTION_DAYS", "0"),
            ("PUBLISH_RATE_LIMIT", "-1"),
            ("MAX_WEBHOOKS", "0"),
            ("STRICT_ENDPOINTS", "maybe"),
            ("CORS_ALLOW_ORIGINS", "app.example.com"),
            ("PORTAL_NAME", " "),
            ("PORTAL_ACCENT", "blue"),
            ("PORTAL_FRAME_ANCESTORS", "app.example.com"),
            ("EVENTS_TABLE", ""),
        ] {
            let fault = read_with(name, value).expect_err(name).to_string();
            assert!(fault.starts_with(name), "{fault}");
        }
    }
}
