//! Errors as users see them: `application/problem+json` (RFC 9457). The cause of an internal error is logged here, once, and
//! never sent.

use crate::problem_kind::Kind;
use application::Error;
use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
    response::IntoResponse,
};
use domain::{
    answer::escaped_len,
    input::{Fault, Faults, InputError},
};
use serde::Serialize;
use std::time::Duration;
use store::{StoreError, queues::QueueError};

/// The most faults of one answer, so that a small body cannot cause a large answer.
const FAULTS_SHOWN: usize = 100;

/// `Retry-After` of a request that AWS has throttled. Tables and queues scale within seconds, and the SDK has retried already.
const RETRY_UNAVAILABLE_AFTER: Duration = Duration::from_secs(5);

/// An error of the API. It becomes a problem document with its status and headers.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<Fault>,
    /// The value of `Retry-After`.
    retry_after: Option<Duration>,
}

/// A problem document (RFC 9457): what is wrong with a request.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Problem))]
pub(crate) struct Document<'a> {
    /// The kind of problem, such as `urn:hookline:problem:not-found`. Programs should compare this member.
    r#type: String,
    /// The kind of problem in words. It is the same for every problem of this `type`.
    title: &'a str,
    /// The HTTP status code of the answer. In the answer to a batch, the code that the event alone would have had.
    status: u16,
    /// What is wrong with this request, for people. The text may change.
    detail: &'a str,
    /// Every value that breaks a rule, at most 100. Missing if the problem is not about single values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<DocumentError<'a>>,
}

/// One value that breaks a rule.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProblemFault))]
pub(crate) struct DocumentError<'a> {
    /// A JSON pointer (RFC 6901) to the value in the body, as a URI fragment: `#/events/0`. For a query parameter, `#/` and its
    /// name.
    pointer: String,
    /// The rule that the value breaks.
    detail: &'a str,
}

impl<'a> From<&'a Fault> for DocumentError<'a> {
    fn from(fault: &'a Fault) -> Self {
        Self { pointer: format!("#{}", fault.pointer), detail: &fault.detail }
    }
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: vec![], retry_after: None }
    }

    /// 404: the account has no such object. Another account's object gets the same answer.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("There is no such {what}."))
    }

    /// 404: the path is unknown.
    pub(crate) fn no_route() -> Self {
        Self::new(Kind::NotFound, "There is no route at this path.")
    }

    /// 405: the path is known, but not with this method.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This path does not support this method. The Allow header lists the methods that it supports.";
        Self::new(Kind::MethodNotAllowed, detail)
    }

    /// 401: the request has no valid token.
    pub(crate) fn unauthorized() -> Self {
        let detail = "Send a valid token as 'Authorization: Bearer <token>'.";
        Self::new(Kind::Unauthorized, detail)
    }

    /// 401: the code of a link is unknown, used or expired.
    pub(crate) fn code_refused() -> Self {
        let detail = "The code is unknown, used or expired. A link works once, within five minutes. Ask for a new one.";
        Self::new(Kind::Unauthorized, detail)
    }

    /// 403: the token does not allow the request.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    /// 409: the state of an object does not allow the request.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// 409: the webhook of a delivery was deleted.
    pub(crate) fn webhook_deleted() -> Self {
        Self::conflict("The delivery's webhook was deleted.")
    }

    /// 409: the retention of a delivery's event has ended.
    pub(crate) fn event_not_kept() -> Self {
        Self::conflict("The delivery's event is no longer kept.")
    }

    /// 409: the webhook is disabled.
    pub(crate) fn webhook_disabled() -> Self {
        Self::new(Kind::WebhookDisabled, "The webhook is disabled. Enable it first.")
    }

    /// 409: nothing is sent to the webhook, because its events are polled. `hint` says what to do instead.
    pub(crate) fn polled(hint: &str) -> Self {
        Self::conflict(format!("Nothing is sent to this webhook: its events are polled. {hint}"))
    }

    /// 409: an object of this name exists.
    pub(crate) fn already_exists(detail: impl Into<String>) -> Self {
        Self::new(Kind::AlreadyExists, detail)
    }

    /// 409: too many requests change the object at once.
    fn concurrent_change() -> Self {
        Self::new(Kind::ConcurrentChange, "Too many requests are changing the object at once. Retry.")
    }

    /// 409: there are already as many objects as the quota allows.
    pub(crate) fn quota_exceeded(detail: impl Into<String>) -> Self {
        Self::new(Kind::QuotaExceeded, detail)
    }

    /// 503: AWS has throttled the request.
    pub(crate) fn unavailable(cause: &dyn std::fmt::Display) -> Self {
        tracing::warn!(error = %cause, "a request was throttled");
        let detail = "The service is busy. It is safe to retry with the same Idempotency-Key.";
        let problem = Self::new(Kind::Unavailable, detail);
        Self { retry_after: Some(RETRY_UNAVAILABLE_AFTER), ..problem }
    }

    /// 413: the body exceeds its limit of `limit_kib` KiB.
    pub(crate) fn too_large(limit_kib: usize) -> Self {
        let detail = format!("The body may have at most {limit_kib} KiB.");
        Self::new(Kind::TooLarge, detail)
    }

    /// 413: the batch exceeds its limit.
    pub(crate) fn batch_too_large() -> Self {
        let detail = "A batch may have at most 2.5 MiB. Send its events in several batches.";
        Self::new(Kind::TooLarge, detail)
    }

    /// 415: the body is not JSON by its `Content-Type`.
    pub(crate) fn unsupported_media_type() -> Self {
        let detail = "Send the body as 'Content-Type: application/json'.";
        Self::new(Kind::UnsupportedMediaType, detail)
    }

    /// 415: the body is compressed, or otherwise encoded.
    pub(crate) fn unsupported_content_encoding() -> Self {
        let detail = "The body has a Content-Encoding, and none is supported. Send it as it is, without this header.";
        Self::new(Kind::UnsupportedContentEncoding, detail)
    }

    /// 400: the route does not take an `Idempotency-Key`.
    pub(crate) fn idempotency_key_not_taken() -> Self {
        let detail = "This route does not take an Idempotency-Key. Send the request without it.";
        Self::new(Kind::IdempotencyKeyNotTaken, detail)
    }

    /// 422: the `Idempotency-Key` was used for a different request.
    pub(crate) fn idempotency_key_reused() -> Self {
        let detail = "The Idempotency-Key was already used for a different request. Use a new one.";
        Self::new(Kind::IdempotencyKeyReused, detail)
    }

    /// 400: the body is not JSON, or a header is malformed.
    pub(crate) fn malformed(why: &str) -> Self {
        Self::new(Kind::Malformed, why)
    }

    /// 422: the request is well-formed, but `errors` break rules.
    pub(crate) fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.len() {
            1 => "One value breaks a rule; see 'errors'.".to_owned(),
            count if count > FAULTS_SHOWN => {
                format!("{count} values break rules; 'errors' shows {FAULTS_SHOWN} of them.")
            }
            count => format!("{count} values break rules; see 'errors'."),
        };
        Self { errors, ..Self::new(Kind::Invalid, detail) }
    }

    /// 429: the account has reached its publish limit, and may publish again after `wait`.
    pub(crate) fn too_many_events(wait: Duration) -> Self {
        let detail = "The account has reached its publish limit. Nothing of this request was published.";
        let problem = Self::new(Kind::TooManyRequests, detail);
        Self { retry_after: Some(wait), ..problem }
    }

    /// 429: the account has debugged too many requests, and may go on after `wait`.
    pub(crate) fn too_many_diagnoses(wait: Duration) -> Self {
        let detail = "The account has reached its limit of requests to debug. Wait, and ask again.";
        let problem = Self::new(Kind::TooManyRequests, detail);
        Self { retry_after: Some(wait), ..problem }
    }

    /// 500: the request failed for a reason that is logged and not sent.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed");
        let detail = "Something went wrong on our side. It is safe to retry with the same Idempotency-Key.";
        Self::new(Kind::Internal, detail)
    }

    /// Returns the document.
    pub(crate) fn to_json(&self) -> String {
        self.with_faults(FAULTS_SHOWN)
    }

    /// Returns the document with fewer faults if it would otherwise take more than `escaped_max` escaped bytes of an answer.
    pub(crate) fn to_json_within(&self, escaped_max: usize) -> String {
        let mut faults = FAULTS_SHOWN;
        loop {
            let json = self.with_faults(faults);
            if faults == 0 || escaped_len(json.as_bytes()) <= escaped_max {
                return json;
            }
            faults /= 2;
        }
    }

    /// Returns the document with the first `shown` faults.
    fn with_faults(&self, shown: usize) -> String {
        let errors = self.errors.iter().take(shown).map(DocumentError::from);
        let document = Document {
            r#type: format!("urn:hookline:problem:{}", self.kind.name()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            errors: errors.collect(),
        };
        serde_json::to_string(&document).expect("a document of strings is JSON")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.kind.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let explained = match self.kind {
            Kind::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"hookline\"")),
            // RFC 9110, 15.5.16
            Kind::UnsupportedContentEncoding => Some((header::ACCEPT_ENCODING, "identity")),
            _ => None,
        };
        if let Some((name, value)) = explained {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if let Some(wait) = self.retry_after {
            let seconds = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        response
    }
}

impl From<InputError> for Problem {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Malformed(why) => Self::malformed(&format!("The body is not JSON: {why}.")),
            InputError::Invalid(faults) => Self::invalid(faults),
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        Self::invalid(faults.into())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Throttled(_) => Self::unavailable(&error),
            StoreError::Contended(_) => Self::concurrent_change(),
            error => Self::internal(&error),
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        if error.is_throttled() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if error.is_throttled() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}
