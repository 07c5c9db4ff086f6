//! Errors as users see them: `application/problem+json` (RFC 9457). What caused one is logged here, once, and never sent.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use hookline::{
    answer::escaped_len,
    input::{Fault, Faults, InputError},
    publishing::PublishError,
    queue::QueueError,
    store::StoreError,
};
use serde::Serialize;
use std::time::Duration;

/// Faults that one answer tells of: an answer must stay smaller than what it answers.
const FAULTS_SHOWN: usize = 100;

/// When to try again what AWS had no room for: tables and queues grow within seconds, and the SDK has tried a few times.
const RETRY_UNAVAILABLE_AFTER: Duration = Duration::from_secs(5);

/// A problem document.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<Fault>,
    /// When to try again: `Retry-After`.
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Problem))]
pub(crate) struct Document<'a> {
    /// Which kind of problem it is: what a program may go by.
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// What breaks a rule where: every fault at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<DocumentError<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProblemFault))]
struct DocumentError<'a> {
    /// A JSON pointer as a URI fragment, as RFC 9457 has it: `#/events/0`.
    pointer: String,
    detail: &'a str,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), errors: vec![], retry_after: None }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("There is no such {what}."))
    }

    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", "There is nothing at this path.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This path does not take this method; the Allow header lists those it takes.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "Send a valid token as 'Authorization: Bearer <token>'.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// There are as many of something as there may be.
    pub(crate) fn quota_exceeded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "quota-exceeded", "Quota exceeded", detail)
    }

    /// AWS has no room for the request now.
    fn unavailable(cause: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a request was throttled");
        let detail = "The service is busy. It is safe to try again with the same Idempotency-Key.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable", detail);
        Self { retry_after: Some(RETRY_UNAVAILABLE_AFTER), ..problem }
    }

    pub(crate) fn too_large(limit_kib: usize) -> Self {
        let detail = format!("The body may have at most {limit_kib} KiB.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Content too large", detail)
    }

    pub(crate) fn batch_too_large() -> Self {
        let detail = "A batch may have at most 2.5 MiB in all; send its events in several.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Content too large", detail)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let detail = "Send the body as 'Content-Type: application/json'.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
    }

    pub(crate) fn malformed(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", why)
    }

    /// A well-formed request that breaks rules.
    pub(crate) fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.len() {
            1 => "One value breaks a rule; see 'errors'.".to_owned(),
            count if count > FAULTS_SHOWN => {
                format!("{count} values break rules; 'errors' has {FAULTS_SHOWN} of them.")
            }
            count => format!("{count} values break rules; see 'errors'."),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Unprocessable content", detail) }
    }

    /// A request that breaks one rule, which no single value of its body is to blame for.
    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Unprocessable content", detail)
    }

    /// The account publishes faster than it may, and may go on after `wait`.
    pub(crate) fn too_many_events(wait: Duration) -> Self {
        let detail = "The account publishes more events than its limit allows; nothing of this request was published.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", detail);
        Self { retry_after: Some(wait), ..problem }
    }

    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        let detail = "Something went wrong on our side. It is safe to try again with the same Idempotency-Key.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error", detail)
    }

    /// The document.
    pub(crate) fn to_json(&self) -> String {
        self.with_faults(FAULTS_SHOWN)
    }

    /// The document, with only as many faults as it has room for in `escaped_max` escaped bytes.
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
        serde_json::to_string(&document).expect("a document of texts is JSON")
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
            StoreError::Contended(_) => Self::conflict("It is being changed by too many requests at once; try again."),
            error => Self::internal(&error),
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        if error.is_throttled() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        if error.is_throttled() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}
