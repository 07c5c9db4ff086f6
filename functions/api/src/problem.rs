//! Errors as users see them: `application/problem+json` (RFC 9457). The cause of an internal error is logged here, once, and
//! never sent.

use application::Error;
use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
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
    status: StatusCode,
    /// The end of the document's `type`, such as `not-found`.
    kind: &'static str,
    title: &'static str,
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
struct DocumentError<'a> {
    /// A JSON pointer (RFC 6901) to the value in the body, as a URI fragment: `#/events/0`. For a query parameter, `#/` and its
    /// name.
    pointer: String,
    /// The rule that the value breaks.
    detail: &'a str,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), errors: vec![], retry_after: None }
    }

    /// 404: the account has no such object. Another account's object gets the same answer.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("There is no such {what}."))
    }

    /// 404: the path is unknown.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", "There is no route at this path.")
    }

    /// 405: the path is known, but not with this method.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This path does not support this method. The Allow header lists the methods that it supports.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// 401: the request has no valid token.
    pub(crate) fn unauthorized() -> Self {
        let detail = "Send a valid token as 'Authorization: Bearer <token>'.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
    }

    /// 403: the token does not allow the request.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    /// 409: the state of an object does not allow the request.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// 409: there are already as many objects as the quota allows.
    pub(crate) fn quota_exceeded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "quota-exceeded", "Quota exceeded", detail)
    }

    /// 503: AWS has throttled the request.
    fn unavailable(cause: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a request was throttled");
        let detail = "The service is busy. It is safe to retry with the same Idempotency-Key.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable", detail);
        Self { retry_after: Some(RETRY_UNAVAILABLE_AFTER), ..problem }
    }

    /// 413: the body exceeds its limit of `limit_kib` KiB.
    pub(crate) fn too_large(limit_kib: usize) -> Self {
        let detail = format!("The body may have at most {limit_kib} KiB.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Content too large", detail)
    }

    /// 413: the batch exceeds its limit.
    pub(crate) fn batch_too_large() -> Self {
        let detail = "A batch may have at most 2.5 MiB. Send its events in several batches.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Content too large", detail)
    }

    /// 415: the body is not JSON by its `Content-Type`.
    pub(crate) fn unsupported_media_type() -> Self {
        let detail = "Send the body as 'Content-Type: application/json'.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
    }

    /// 400: the body is not JSON, or a header is malformed.
    pub(crate) fn malformed(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", why)
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
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Unprocessable content", detail) }
    }

    /// 422: the request breaks a rule that is not about a single value of its body.
    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Unprocessable content", detail)
    }

    /// 429: the account has reached its publish limit, and may publish again after `wait`.
    pub(crate) fn too_many_events(wait: Duration) -> Self {
        let detail = "The account has reached its publish limit. Nothing of this request was published.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", detail);
        Self { retry_after: Some(wait), ..problem }
    }

    /// 500: the request failed for a reason that is logged and not sent.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        let detail = "Something went wrong on our side. It is safe to retry with the same Idempotency-Key.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error", detail)
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
        let errors = self
            .errors
            .iter()
            .take(shown)
            .map(|fault| DocumentError { pointer: format!("#{}", fault.pointer), detail: &fault.detail });
        let document = Document {
            r#type: format!("urn:hookline:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: errors.collect(),
        };
        serde_json::to_string(&document).expect("a document of strings is JSON")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"hookline\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
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
            StoreError::Contended(_) => Self::conflict("Too many requests are changing the object at once. Retry."),
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
