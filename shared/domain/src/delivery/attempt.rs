//! One attempt, and how it can fail.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One HTTP POST of a delivery, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The attempt's number within its delivery, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The receiver's status code, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Why there was no complete answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AttemptError>,
    /// The first 1 KiB of the receiver's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
}

impl Attempt {
    /// Whether the receiver accepted the event: a complete 2xx answer in time.
    pub fn succeeded(&self) -> bool {
        self.error.is_none() && matches!(self.status_code, Some(200..=299))
    }

    /// Returns when it ended.
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.plus(Duration::from_millis(self.duration_ms))
    }

    /// Whether the receiver did not answer in time.
    pub fn timed_out(&self) -> bool {
        self.error == Some(AttemptError::Timeout)
    }

    /// Whether the receiver answered 410: it wants no further deliveries.
    pub(super) fn is_gone(&self) -> bool {
        self.status_code == Some(410)
    }
}

/// A finished attempt, and what its answer means for the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// The attempt.
    pub attempt: Attempt,
    /// The wait that the receiver asked for with `Retry-After`.
    pub retry_after: Option<Duration>,
    /// When the attempt ended.
    pub ended_at: Timestamp,
}

/// Why an attempt got no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum AttemptError {
    /// The time for the whole attempt was up: DNS, connect, TLS, headers and body, and the request of an access token.
    #[error("The receiver did not answer in time.")]
    Timeout,
    /// The name has no address, or the lookup failed.
    #[error("The host name could not be resolved.")]
    Dns,
    /// The host is an address that webhooks must not reach, or it resolves to one.
    #[error("The host has an address that webhooks must not reach.")]
    ForbiddenAddress,
    /// No TCP connection could be made: refused or unreachable.
    #[error("No connection to the receiver could be made.")]
    Connect,
    /// The TLS handshake failed: no TLS on that port, or a certificate that is not trusted, expired or for another name.
    #[error("The TLS handshake failed: check that the receiver's certificate is valid for its host name.")]
    Tls,
    /// The receiver closed or reset the connection, or its HTTP/2 stream, before its answer was complete.
    #[error("The receiver closed the connection before its answer was complete.")]
    Closed,
    /// The receiver's answer is not HTTP, or exceeds a limit on its headers.
    #[error("The receiver's answer is not valid HTTP.")]
    Protocol,
    /// The endpoint policy forbids the URL: `http` where only `https` is allowed.
    #[error("The URL cannot be used under the endpoint policy.")]
    UnsupportedUrl,
    /// The webhook's OAuth 2 server gave no access token, so the receiver got no request.
    #[error("The OAuth 2 server gave no access token.")]
    Oauth,
}

impl AttemptError {
    /// Every error, in the order of the type.
    pub const ALL: [Self; 9] = [
        Self::Timeout,
        Self::Dns,
        Self::ForbiddenAddress,
        Self::Connect,
        Self::Tls,
        Self::Closed,
        Self::Protocol,
        Self::UnsupportedUrl,
        Self::Oauth,
    ];

    /// Returns the stable code of this error, as the API and the logs show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::UnsupportedUrl => "unsupported_url",
            Self::Oauth => "oauth",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_stored_as_its_code() {
        for error in AttemptError::ALL {
            assert_eq!(serde_json::to_value(error).expect("JSON"), error.as_str());
        }
    }
}
