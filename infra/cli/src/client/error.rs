//! Why the API did not do what was asked, and what to do next. Every text of the server is made harmless before it is shown.

use crate::output::text::visible;
use http::StatusCode;
use serde::Deserialize;
use std::{error::Error as _, fmt, io, iter::successors, time::Duration};
use url::Url;

/// A request that did not succeed.
#[derive(Debug)]
pub(crate) enum Error {
    /// No connection, or it ended before the whole answer arrived.
    Connection {
        /// The API's URL.
        url: Url,
        /// What happened.
        cause: reqwest::Error,
    },
    /// The API refused the request, or failed.
    Refused(Box<Refusal>),
    /// The answer is a success, but not one that this version can read.
    Unreadable {
        /// The `operationId`.
        operation: &'static str,
        /// What is wrong.
        cause: serde_json::Error,
    },
    /// The answer is too long.
    TooLong {
        /// The most bytes that are read.
        bytes_max: usize,
    },
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The API's URL.
    pub(crate) url: Url,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The problem document, if the answer is one.
    pub(crate) problem: Option<Problem>,
    /// The answer's `X-Request-Id`.
    pub(crate) request_id: Option<String>,
    /// The answer's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the request carried a token.
    pub(crate) with_token: bool,
    /// How often the request was sent.
    pub(crate) tries: u32,
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Problem {
    /// The kind of problem in words.
    pub(crate) title: String,
    /// What is wrong with this request.
    pub(crate) detail: String,
    /// Each value that breaks a rule.
    #[serde(default)]
    pub(crate) errors: Vec<Fault>,
}

/// One value that breaks a rule, or does not fit a schema.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Fault {
    /// A JSON pointer to the value, as a URI fragment: `#/events/0`.
    pub(crate) pointer: String,
    /// The rule that the value breaks.
    pub(crate) detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", visible(&self.pointer), visible(&self.detail))
    }
}

impl Error {
    pub(super) fn connection(url: &Url, cause: reqwest::Error) -> Self {
        Self::Connection { url: url.clone(), cause: cause.without_url() }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            // Whoever named the address should know at once that nothing listens there.
            Self::Connection { cause, .. } => !cause.is_builder() && !is_refused(cause),
            Self::Refused(refusal) => matches!(refusal.status.as_u16(), 429 | 500 | 502 | 503 | 504),
            Self::Unreadable { .. } | Self::TooLong { .. } => false,
        }
    }

    /// Whether the server was not reached, or was busy, so that the state of what it holds is not known.
    pub(crate) fn is_outage(&self) -> bool {
        self.is_passing() || matches!(self, Self::Connection { .. })
    }

    /// The wait that the server asks for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused(refusal) = self { refusal.retry_after } else { None }
    }

    /// Whether the refusal comes from Hookline. Others may answer at its address: a proxy, or whatever has taken its port.
    pub(crate) fn is_answer_of_hookline(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.problem.is_some())
    }

    /// The HTTP status of a refusal.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        if let Self::Refused(refusal) = self { Some(refusal.status) } else { None }
    }

    /// Lines that belong below the first: each fault, and the id of the request.
    pub(crate) fn details(&self) -> Vec<String> {
        let Self::Refused(refusal) = self else { return vec![] };
        let faults = refusal.problem.iter().flat_map(|problem| &problem.errors).map(Fault::to_string);
        let id = refusal.request_id.iter().map(|id| format!("request id: {}", visible(id)));
        faults.chain(id).collect()
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Connection { url, cause } if is_refused(cause) && crate::connection::is_loopback(url) => {
                Some(format!("Is Hookline running at {url}? `cargo run -p local` starts it on this machine."))
            }
            Self::Connection { url, .. } => Some(format!("Check the address {url}, or give another with --url.")),
            Self::Refused(refusal) => refusal.hint(),
            Self::Unreadable { .. } => Some(
                "Is this the URL of a Hookline? `hookline status` shows it; --json shows the answer as it is.".into(),
            ),
            Self::TooLong { .. } => Some("Ask for a smaller page with --limit.".into()),
        }
    }
}

impl Refusal {
    fn hint(&self) -> Option<String> {
        let detail = self.problem.as_ref().map_or("", |problem| &problem.detail);
        match self.status.as_u16() {
            400 if detail.contains("Hookline-Account") => Some("Name the account with --account.".into()),
            401 if !self.with_token => Some(
                "No token was given or stored for this URL. Log in with `hookline login`, or give one with --token."
                    .into(),
            ),
            401 => {
                Some("The token is not valid here. Log in with `hookline login`, or give another with --token.".into())
            }
            403 if detail.contains("Hookline-Account") => Some("Leave out --account, or use a platform token.".into()),
            403 => Some("Use a token with that scope: --token, or `hookline login`.".into()),
            404 if self.problem.is_none() => {
                Some(format!("Is {} the URL of a Hookline? `hookline status` shows which one is used.", self.url))
            }
            429 | 503 => {
                let later = self.retry_after.map_or_else(|| "later".into(), |wait| format!("in {} s", wait.as_secs()));
                Some(if self.tries > 1 {
                    format!(
                        "The request was sent {} times, with the waits that the server asked for. Try again {later}.",
                        self.tries
                    )
                } else {
                    format!("Try again {later}.")
                })
            }
            500.. if self.request_id.is_some() => {
                Some("The operator finds the cause in the logs by the request id.".into())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { url, cause } if cause.is_timeout() => write!(f, "{url} did not answer in time"),
            Self::Connection { url, cause } if is_refused(cause) => write!(f, "nothing listens at {url}"),
            Self::Connection { url, cause } => write!(f, "no answer from {url}: {}", visible(&innermost(cause))),
            Self::Refused(refusal) => match &refusal.problem {
                Some(Problem { title, detail, .. }) => {
                    write!(f, "{} ({}): {}", visible(title), refusal.status.as_u16(), visible(detail))
                }
                None => write!(f, "{} answered {}", refusal.url, refusal.status),
            },
            Self::Unreadable { operation, cause } => write!(f, "the answer to {operation} is not as expected: {cause}"),
            Self::TooLong { bytes_max } => write!(f, "the answer has more than {bytes_max} bytes"),
        }
    }
}

impl std::error::Error for Error {}

/// Whether nothing listened at the address.
pub(crate) fn is_refused(cause: &reqwest::Error) -> bool {
    let mut causes = successors(cause.source(), |cause| (*cause).source());
    causes
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused))
}

/// The innermost cause, which says what happened. The outer ones only say where.
pub(crate) fn innermost(cause: &reqwest::Error) -> String {
    let causes = successors(cause.source(), |cause| (*cause).source());
    causes.last().map_or_else(|| cause.to_string(), ToString::to_string)
}
