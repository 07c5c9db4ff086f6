//! The header `Idempotency-Key`. The list of routes says which take it. On any other route it is a 400: a client that sends it
//! relies on it.

use crate::{
    auth::single,
    problem::Problem,
    routes::{ROUTES, WITH_KEY},
};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use store::idempotency::KEY_MAX;

/// The header's name.
pub(crate) const HEADER: &str = "idempotency-key";
/// The header of an answer that repeats an earlier one.
pub(crate) const REPLAYED_HEADER: &str = "idempotent-replayed";

/// Reads the key.
///
/// # Errors
/// 400 if it is malformed or sent twice.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let value = single(headers, HEADER).map_err(|()| Problem::malformed("Idempotency-Key is sent twice."))?;
    let Some(value) = value else { return Ok(None) };
    if value.len() > KEY_MAX {
        let detail = format!("Idempotency-Key may have at most {KEY_MAX} characters. This one has {}.", value.len());
        return Err(Problem::malformed(&detail));
    }
    // `to_str` alone allows tabs.
    let is_printable = |key: &&str| !key.is_empty() && key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match value.to_str().ok().filter(is_printable) {
        Some(key) => Ok(Some(key.to_owned())),
        None => {
            Err(Problem::malformed(&format!("Idempotency-Key must have 1 to {KEY_MAX} printable ASCII characters.")))
        }
    }
}

/// Adds `Idempotent-Replayed` to a response that repeats the answer to an earlier request.
pub(crate) fn mark_replayed(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response.headers_mut().insert(HeaderName::from_static(REPLAYED_HEADER), HeaderValue::from_static("true"));
    }
    response
}

/// Refuses the header on a route that does not take it. An unknown path keeps its 404, and an unknown method its 405.
pub(crate) async fn refuse_where_not_taken(request: Request, next: Next) -> Response {
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let is_refused = |path: &MatchedPath| {
        let is_route = ROUTES.contains(&(method.as_str().to_lowercase().as_str(), path.as_str()));
        is_route && !WITH_KEY.contains(&(method.as_str(), path.as_str()))
    };
    if request.headers().contains_key(HEADER) && request.extensions().get().is_some_and(is_refused) {
        return Problem::idempotency_key_not_taken().into_response();
    }
    next.run(request).await
}
