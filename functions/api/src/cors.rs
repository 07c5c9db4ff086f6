//! The headers with which a browser lets the web pages of other origins call the API (CORS). By default there are none.
//!
//! API Gateway could add them too, but only in AWS. The router adds them everywhere, errors included, so that the local runner and
//! the tests behave like a deployment.

use crate::{auth, idempotency_key, request_id, traceparent};
use axum::http::{HeaderName, HeaderValue, Method, header};
use domain::allowed_origins::AllowedOrigins;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may keep the answer to a preflight request. Browsers keep it for at most 2 hours.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// The methods of the routes that browsers ask about.
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];

/// The headers of requests that a page may set.
const REQUEST_HEADERS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static(auth::ACCOUNT_HEADER),
    HeaderName::from_static(idempotency_key::HEADER),
    HeaderName::from_static(traceparent::HEADER),
    request_id::HEADER,
];

/// The headers of answers that a page may read.
const ANSWER_HEADERS: [HeaderName; 5] = [
    request_id::HEADER,
    HeaderName::from_static(idempotency_key::REPLAYED_HEADER),
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    header::ALLOW,
];

/// Returns the layer that adds the headers, and answers preflight requests, which have no token. `None` if no origin is allowed.
pub(crate) fn layer(origins: &AllowedOrigins) -> Option<CorsLayer> {
    let allowed = match origins {
        AllowedOrigins::Any => AllowOrigin::any(),
        AllowedOrigins::Listed(origins) if origins.is_empty() => return None,
        AllowedOrigins::Listed(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    let layer = CorsLayer::new().allow_origin(allowed).allow_methods(METHODS).allow_headers(REQUEST_HEADERS);
    Some(layer.expose_headers(ANSWER_HEADERS).max_age(MAX_AGE))
}
