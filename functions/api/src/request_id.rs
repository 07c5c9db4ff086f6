//! `X-Request-Id`: every answer has one, and every log line of its request has it as `request_id`, beside its
//! `route`, and its `account` once that is known. Behind API Gateway it is the gateway's own id, which its access log has too.
//!
//! The caller's `X-Request-Id` is never the answer's: two requests could have the same, and an id could claim to be another's.
//! If it is well-formed, log lines have it as `client_request_id`.

use crate::state::ApiState;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use domain::random::Random;
use lambda_http::request::RequestContext;
use std::sync::Arc;
use tracing::{Instrument, field::Empty};

/// The header's name.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of a caller's id.
const CLIENT_ID_MAX: usize = 128;

/// Gives the request its id.
pub(crate) async fn add(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let id = of_gateway(&request).unwrap_or_else(|| generated(&state.app.random));
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map(|path| format!("{} {}", request.method(), path.as_str()));
    // The level error lets the span through at every log level, so every line has the id.
    let span = tracing::error_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        route = route.as_deref(),
        client_request_id = Empty,
        account = Empty
    );
    if let Some(client_id) = of_client(&request) {
        span.record("client_request_id", client_id);
    }
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(HEADER, id);
    response
}

/// Returns API Gateway's id of the request, if there is a gateway.
fn of_gateway(request: &Request) -> Option<HeaderValue> {
    match request.extensions().get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => HeaderValue::from_str(context.request_id.as_deref()?).ok(),
        _ => None,
    }
}

/// Returns a new id: 128 random bits in hex.
fn generated(random: &Random) -> HeaderValue {
    HeaderValue::from_str(&format!("{:032x}", random.number())).expect("hex is visible ASCII")
}

/// Returns the caller's own id, if it has 1 to [`CLIENT_ID_MAX`] visible ASCII characters.
fn of_client(request: &Request) -> Option<&str> {
    let id = request.headers().get(HEADER)?.to_str().ok()?;
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    Some(id).filter(|id| (1..=CLIENT_ID_MAX).contains(&id.len()) && id.bytes().all(is_visible))
}
