//! The routes of Hookline's API: one axum router, served behind API Gateway by Lambda, by the local runner, and by tests.
//!
//! | file | holds |
//! |---|---|
//! | `webhooks.rs`, `rotation.rs`, `recovery.rs`, `health.rs` | `/v1/webhooks…` |
//! | `test_deliveries.rs` | `/v1/webhooks/test` |
//! | `deliveries.rs` | `/v1/deliveries…` and a webhook's list of them |
//! | `events.rs`, `event_types.rs`, `tokens.rs` | the rest |
//! | `openapi/` | the document of all that, and the test that makes it |
//! | `auth.rs`, `throttle.rs` | callers, and how fast they may publish |
//! | `body.rs`, `page.rs`, `problem.rs` | requests, pages, errors |

mod auth;
mod body;
mod deliveries;
mod event_types;
mod events;
mod health;
mod openapi;
mod page;
mod path;
mod problem;
mod recovery;
mod rotation;
mod test_deliveries;
mod throttle;
mod tokens;
mod webhooks;

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use hookline::app::App;
use problem::Problem;
use serde::Serialize;
use std::sync::Arc;

/// What every route works with.
#[derive(Debug)]
struct ApiState {
    app: App,
    tokens: auth::TokenCache,
    throttle: throttle::Throttle,
}

/// Makes the one list of routes into the router and, in tests, into what the handlers say of themselves.
macro_rules! routes {
    ($($path:literal: $($method:ident $($handler:ident)::+),+;)+) => {
        fn routes() -> Router<Arc<ApiState>> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($($handler)::+))+))+
        }

        #[cfg(test)]
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($($handler)::+),+),+))]
        struct Described;

        #[cfg(test)]
        const ROUTES: &[(&str, &str)] = &[$($((stringify!($method), $path)),+),+];
    };
}

routes! {
    "/v1/webhooks": get webhooks::list, post webhooks::create;
    "/v1/webhooks/test": post test_deliveries::create;
    "/v1/webhooks/{id}": get webhooks::read, patch webhooks::update, delete webhooks::remove;
    "/v1/webhooks/{id}/rotate-secret": post rotation::rotate;
    "/v1/webhooks/{id}/recover": post recovery::recover;
    "/v1/webhooks/{id}/deliveries": get deliveries::list;
    "/v1/webhooks/{id}/health": get health::read;
    "/v1/deliveries/{id}": get deliveries::read;
    "/v1/deliveries/{id}/retry": post deliveries::retry;
    "/v1/events": get events::list, post events::publish;
    "/v1/events/batch": post events::publish_batch;
    "/v1/events/{id}": get events::read;
    "/v1/event-types": get event_types::list, post event_types::create;
    "/v1/event-types/{name}": delete event_types::remove;
    "/v1/tokens": get tokens::list, post tokens::create;
    "/v1/tokens/{id}": delete tokens::remove;
    "/v1/openapi.json": get openapi::read;
    "/healthz": get healthz;
}

/// The API.
pub fn router(app: App) -> Router {
    let state =
        Arc::new(ApiState { app, tokens: auth::TokenCache::default(), throttle: throttle::Throttle::default() });
    routes()
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(state)
}

/// The answer to a request that failed for want of something behind the API; `cause` is logged, not told.
pub fn failed(cause: &dyn std::fmt::Display) -> Response {
    Problem::internal(cause).into_response()
}

/// That the API is up.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Healthz {
    status: &'static str,
}

/// Say that the API is up
#[cfg_attr(test, utoipa::path(
    get,
    path = "/healthz",
    operation_id = "readHealthz",
    tag = "Service",
    responses((status = 200, description = "It is.", body = Healthz)),
))]
async fn healthz() -> Json<Healthz> {
    Json(Healthz { status: "ok" })
}
