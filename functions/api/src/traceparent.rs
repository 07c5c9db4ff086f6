//! The header `traceparent` of a publication (W3C Trace Context). It is stored with the events and passed on to receivers.

use axum::{extract::FromRequestParts, http::request::Parts};
use domain::trace::TraceParent;
use std::convert::Infallible;

/// The header's name.
pub(crate) const HEADER: &str = "traceparent";

/// The trace of a request. A header that is invalid or sent twice counts as none, as the standard wants it.
pub(crate) struct Trace(pub(crate) Option<TraceParent>);

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = crate::auth::single(&parts.headers, HEADER).ok().flatten();
        Ok(Self(value.and_then(|value| value.to_str().ok()?.trim().parse().ok())))
    }
}
