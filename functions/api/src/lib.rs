//! Hookline's HTTP API: one axum router. Lambda serves it behind API Gateway; the local runner and the tests serve it directly.
//!
//! | file | holds |
//! |---|---|
//! | `routes.rs` | the list of routes |
//! | `state.rs` | the state that every handler gets |
//! | `webhooks.rs`, `rotation.rs`, `recovery.rs`, `health.rs` | `/v1/webhooks…` |
//! | `polling.rs` | `/v1/webhooks/{id}/poll` |
//! | `test_deliveries.rs` | `/v1/webhooks/test` |
//! | `deliveries.rs` | `/v1/deliveries…` and `/v1/webhooks/{id}/deliveries` |
//! | `signatures.rs`, `filters.rs` | `/v1/signatures/debug`, `/v1/filters/test` |
//! | `portal.rs` | the portal's files |
//! | `portal_links.rs`, `portal_sessions.rs` | links to the portal, and the sessions that they begin |
//! | `session.rs` | what a session may ask for |
//! | `request_view.rs` | a request to a receiver, without its secrets |
//! | `events.rs`, `event_types.rs`, `tokens.rs`, `healthz.rs` | the other routes |
//! | `dry_run.rs` | `/v1/events/dry-run` |
//! | `new_event.rs` | the body with an event, and what the catalogue has against it |
//! | `warnings.rs` | the answer to a published event that does not fit the schema of its type |
//! | `openapi/` | the OpenAPI document, and the tests that generate and check it |
//! | `auth.rs`, `token_cache.rs` | authentication: the caller's token, scopes and account |
//! | `idempotency_key.rs` | the header `Idempotency-Key`, and which routes take it |
//! | `request_id.rs`, `cors.rs`, `newline.rs` | what every answer gets: an id, headers for browsers, a newline |
//! | `traceparent.rs` | the header `traceparent` of a publication |
//! | `throttle.rs` | the publish limit of each account |
//! | `path.rs`, `body.rs`, `fields.rs`, `options.rs` | ids in paths, bodies and queries, fields of bodies, options of webhooks |
//! | `problem.rs`, `problem_kind.rs` | errors, and their kinds |

mod auth;
mod body;
mod cors;
mod deliveries;
mod dry_run;
mod event_types;
mod events;
mod fields;
mod filters;
mod health;
mod healthz;
mod idempotency_key;
mod new_event;
mod newline;
mod openapi;
mod options;
mod path;
mod polling;
mod portal;
mod portal_links;
mod portal_sessions;
mod problem;
mod problem_kind;
mod recovery;
mod request_id;
mod request_view;
mod rotation;
mod routes;
mod session;
mod signatures;
mod state;
mod test_deliveries;
mod throttle;
mod token_cache;
mod tokens;
mod traceparent;
mod warnings;
mod webhooks;

use application::App;
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use problem::Problem;
use state::ApiState;
use std::sync::Arc;
use throttle::Throttle;
use token_cache::TokenCache;

/// Creates the router with all routes, and with problem documents for unknown paths and methods.
pub fn router(app: App) -> Router {
    router_with(app, |routes| routes)
}

/// Creates the same router, with what `wrap` adds around the routes. It is inside of what every answer gets, so an answer of its own
/// gets that too.
pub fn router_with(app: App, wrap: impl FnOnce(Router) -> Router) -> Router {
    let cors = cors::layer(&app.cors_allow_origins);
    let state = Arc::new(ApiState { app, tokens: TokenCache::default(), throttle: Throttle::default() });
    let served = routes::routes()
        .merge(portal::routes())
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(idempotency_key::refuse_where_not_taken))
        .with_state(Arc::clone(&state));
    let wrapped = wrap(served).layer(middleware::from_fn(newline::end_json));
    let answering = match cors {
        Some(cors) => wrapped.layer(cors),
        None => wrapped,
    };
    answering.layer(middleware::from_fn_with_state(state, request_id::add))
}

/// Returns the 500 for a request that failed outside a handler. `cause` is logged and not sent.
pub fn failed(cause: &dyn std::fmt::Display) -> Response {
    Problem::internal(cause).into_response()
}
