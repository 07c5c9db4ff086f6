//! Hookline's HTTP API: one axum router. Lambda serves it behind API Gateway; the local runner and the tests serve it directly.
//!
//! | file | holds |
//! |---|---|
//! | `routes.rs` | the list of routes |
//! | `state.rs` | the state that every handler gets |
//! | `webhooks.rs`, `rotation.rs`, `recovery.rs`, `health.rs` | `/v1/webhooks…` |
//! | `test_deliveries.rs` | `/v1/webhooks/test` |
//! | `deliveries.rs`, `delivery_view.rs` | `/v1/deliveries…` and `/v1/webhooks/{id}/deliveries` |
//! | `events.rs`, `event_types.rs`, `tokens.rs`, `healthz.rs` | the other routes |
//! | `openapi/` | the OpenAPI document, and the tests that generate and check it |
//! | `auth.rs`, `token_cache.rs` | authentication: the caller's token, scopes and account |
//! | `throttle.rs` | the publish limit of each account |
//! | `path.rs`, `body.rs`, `fields.rs`, `problem.rs` | ids in paths, bodies and queries, fields of bodies, errors |

mod auth;
mod body;
mod deliveries;
mod delivery_view;
mod event_types;
mod events;
mod fields;
mod health;
mod healthz;
mod openapi;
mod path;
mod problem;
mod recovery;
mod rotation;
mod routes;
mod state;
mod test_deliveries;
mod throttle;
mod token_cache;
mod tokens;
mod webhooks;

use application::App;
use axum::{
    Router,
    response::{IntoResponse, Response},
};
use problem::Problem;
use state::ApiState;
use std::sync::Arc;
use throttle::Throttle;
use token_cache::TokenCache;

/// Creates the router with all routes, and with problem documents for unknown paths and methods.
pub fn router(app: App) -> Router {
    let state = Arc::new(ApiState { app, tokens: TokenCache::default(), throttle: Throttle::default() });
    routes::routes()
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(state)
}

/// Returns the 500 for a request that failed outside a handler. `cause` is logged and not sent.
pub fn failed(cause: &dyn std::fmt::Display) -> Response {
    Problem::internal(cause).into_response()
}
