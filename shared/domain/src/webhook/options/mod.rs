//! The options of a webhook: how its deliveries are sent, retried and signed, beyond what every webhook has.
//!
//! | file | holds |
//! |---|---|
//! | `headers.rs` | static headers, and which header names users may set |
//! | `auth.rs` | what `Authorization` carries: basic, bearer, or an OAuth 2 access token |
//! | `signature_header.rs` | one more signature, in the form that a receiver already verifies |
//! | `disable_on.rs` | which failed deliveries disable the webhook |
//! | `view.rs` | the options as users see them, without credentials |
//!
//! The retry schedule of a webhook is a [`RetrySchedule`] like that of the deployment.

mod auth;
mod disable_on;
mod headers;
mod signature_header;
mod view;

pub use auth::{
    Auth, BasicAuth, ClientCredentials, TOKEN_MAX, USERNAME_MAX, parse_client_id, parse_password, parse_scope,
    parse_token, parse_username,
};
pub use disable_on::{DisableOn, LATEST_LOOKED_AT};
pub use headers::{HEADERS_MAX, HeaderName, StaticHeader, VALUE_MAX, parse_value};
pub use signature_header::{SignatureHeader, SignedContent, TEMPLATE_MAX, Template, TemplateFault};
pub use view::{AuthView, SignatureHeaderView};

use crate::{backoff::RetrySchedule, delivery::ATTEMPT_TIMEOUT};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest timeout that a webhook may set for its attempts, in seconds.
pub const TIMEOUT_MAX_S: u32 = 20;

/// The options of a webhook. Each has a default, which is not stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Headers that every delivery carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<StaticHeader>,
    /// What `Authorization` carries, if the webhook has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// When the attempts of a delivery are due, or `None` for the schedule of the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<RetrySchedule>,
    /// The seconds that the receiver has for one attempt, or `None` for [`ATTEMPT_TIMEOUT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// One more signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_header: Option<SignatureHeader>,
    /// Which failed deliveries disable the webhook.
    #[serde(default)]
    pub disable_on: DisableOn,
    /// Whether the webhook is tried again after failures have disabled it, or `None` for what the deployment does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_recover: Option<bool>,
}

impl Options {
    /// Whether no option is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the time that the receiver has for one attempt in all.
    pub fn attempt_timeout(&self) -> Duration {
        self.timeout_seconds.map_or(ATTEMPT_TIMEOUT, |seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// Returns when the attempts of a delivery are due. `deployment` is the schedule of webhooks without their own.
    pub fn retry_schedule<'a>(&'a self, deployment: &'a RetrySchedule) -> &'a RetrySchedule {
        self.retry_schedule.as_ref().unwrap_or(deployment)
    }

    /// Whether `headers` already sets the header of `signature_header`.
    pub fn sets_signature_header_twice(&self) -> bool {
        let signature = self.signature_header.as_ref();
        signature.is_some_and(|signature| self.headers.iter().any(|header| header.name == signature.name))
    }
}

/// Reads the timeout of an attempt, in seconds.
///
/// # Errors
/// A phrase for the user.
pub fn parse_timeout(number: i64) -> Result<u32, String> {
    match u32::try_from(number) {
        Ok(seconds @ 1..=TIMEOUT_MAX_S) => Ok(seconds),
        _ => Err(format!("must be a whole number from 1 to {TIMEOUT_MAX_S}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_not_set_are_not_stored() {
        let json = serde_json::to_string(&Options::default()).expect("JSON");
        assert_eq!(json, r#"{"disable_on":"failed_delivery"}"#);
        assert!(serde_json::from_str::<Options>("{}").expect("options").is_default());
    }

    #[test]
    fn all_options_are_read_as_they_were_stored() {
        let options = Options {
            headers: vec![StaticHeader {
                name: "X-Api-Key".parse().expect("a name"),
                value: parse_value("k 1").expect("a value"),
            }],
            auth: Some(Auth::Bearer { token: parse_token("abc").expect("a token") }),
            retry_schedule: Some("0s,90s".parse().expect("a schedule")),
            timeout_seconds: Some(20),
            signature_header: Some(SignatureHeader::github()),
            disable_on: DisableOn::NoSuccess,
            auto_recover: Some(false),
        };
        let json = serde_json::to_string(&options).expect("JSON");
        assert_eq!(serde_json::from_str::<Options>(&json).expect("options"), options);
        assert_eq!(options.attempt_timeout(), Duration::from_secs(20));
        assert_eq!(Options::default().attempt_timeout(), ATTEMPT_TIMEOUT);
    }
}
