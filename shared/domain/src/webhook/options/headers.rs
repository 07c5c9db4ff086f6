//! The static headers of a webhook, and which header names users may set.

use crate::credential::Credential;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The most static headers of a webhook.
pub const HEADERS_MAX: usize = 20;
/// The most characters of a header's name.
const NAME_MAX: usize = 128;
/// The most characters of a header's value.
pub const VALUE_MAX: usize = 1024;

/// Headers about the connection (RFC 9110, section 7.6.1) and the message, which the HTTP client sets, and those that Hookline
/// sets or may set.
const RESERVED: [&str; 15] = [
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// What the names of further reserved headers begin with.
const RESERVED_PREFIXES: [&str; 4] = ["content-", "hookline-", "webhook-", "x-webhook-"];

/// The name of a header that a user may set, as the user wrote it. Two names are equal if they differ only in case.
///
/// A stored name is not judged again: a webhook must stay readable when a later version reserves its header's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeaderName(String);

impl HeaderName {
    /// Returns the name as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for HeaderName {}

/// Reads the name of a header that users may set.
impl FromStr for HeaderName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > NAME_MAX {
            return Err(format!("must be the name of a header, with at most {NAME_MAX} characters"));
        }
        if text.parse::<http::HeaderName>().is_err() {
            return Err("must be the name of a header: letters, digits and any of !#$%&'*+-.^_`|~".to_owned());
        }
        let lower = text.to_ascii_lowercase();
        if lower == "authorization" {
            return Err("must not be Authorization: use 'auth'".to_owned());
        }
        let is_reserved =
            RESERVED.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
        if is_reserved {
            Err(format!("must not be {text}, which is set by Hookline or by HTTP itself"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A header that every delivery carries. Its value may be a secret, so no answer shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticHeader {
    /// The name.
    pub name: HeaderName,
    /// The value.
    pub value: Credential,
}

/// Reads the value of a header: visible ASCII, with spaces and tabs inside.
///
/// # Errors
/// A phrase for the user, which does not contain the value.
pub fn parse_value(text: &str) -> Result<Credential, String> {
    if !(1..=VALUE_MAX).contains(&text.len()) {
        return Err(format!("must have 1 to {VALUE_MAX} characters"));
    }
    let is_visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if !is_visible || text.trim() != text {
        return Err("must be visible ASCII characters, with spaces only between them".to_owned());
    }
    Ok(Credential::from(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_connection_the_message_and_hookline_are_refused() {
        for wrong in [
            "Host",
            "content-type",
            "Content-MD5",
            "User-Agent",
            "Authorization",
            "Transfer-Encoding",
            "Proxy-Authorization",
            "TE",
            "webhook-id",
            "Webhook-Anything",
            "X-Webhook-Signature",
            "Hookline-Account",
            "traceparent",
            "",
            "X Key",
            "X-Ü",
            "X:Y",
            ":path",
            &"x".repeat(129),
        ] {
            assert!(wrong.parse::<HeaderName>().is_err(), "{wrong}");
        }
        for right in ["X-Api-Key", "Accept", "X-Hub-Signature-256", "Stripe-Signature", "x_1", &"x".repeat(128)] {
            assert_eq!(right.parse::<HeaderName>().expect(right).as_str(), right);
        }
    }

    #[test]
    fn names_that_differ_in_case_are_equal() {
        let name = |text: &str| text.parse::<HeaderName>().expect("a name");
        assert_eq!(name("X-Api-Key"), name("x-api-KEY"));
        assert_ne!(name("X-Api-Key"), name("X-Api-Keys"));
    }

    #[test]
    fn a_stored_name_that_is_reserved_now_is_read() {
        let name: HeaderName = serde_json::from_str("\"Traceparent\"").expect("a name");
        assert_eq!(name.as_str(), "Traceparent");
    }

    #[test]
    fn a_value_is_visible_ascii() {
        for wrong in ["", " a", "a ", "a\r\nX: y", "a\0", "é", "\u{7f}", &"x".repeat(1025)] {
            assert!(parse_value(wrong).is_err(), "{wrong:?}");
        }
        for right in ["a", "a b\tc", "{\"a\": 1}", &"x".repeat(1024)] {
            assert_eq!(parse_value(right).expect(right).expose(), right);
        }
    }
}
