//! The list of routes.

use crate::{
    deliveries, dry_run, event_types, events, filters, health, healthz, openapi, polling, portal_links,
    portal_sessions, recovery, rotation, signatures, state::ApiState, test_deliveries, tokens, webhooks,
};
use axum::{Router, routing::MethodRouter};
use std::sync::Arc;

/// Expands the list of routes to `routes()`, which creates the router, and to `ROUTES`, the methods and paths. In tests it also
/// expands to `Described`, the OpenAPI document of the handlers.
macro_rules! routes {
    ($($path:literal: $($method:ident $($handler:ident)::+),+;)+) => {
        pub(crate) fn routes() -> Router<Arc<ApiState>> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($($handler)::+))+))+
        }

        #[cfg(test)]
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($($handler)::+),+),+))]
        pub(crate) struct Described;

        pub(crate) const ROUTES: &[(&str, &str)] = &[$($((stringify!($method), $path)),+),+];
    };
}

/// The routes that take an `Idempotency-Key`. Every other route refuses it.
pub(crate) const WITH_KEY: &[(&str, &str)] =
    &[("POST", "/v1/events"), ("POST", "/v1/events/batch"), ("POST", "/v1/webhooks/{id}/rotate-secret")];

routes! {
    "/v1/webhooks": get webhooks::list, post webhooks::create;
    "/v1/webhooks/test": post test_deliveries::create;
    "/v1/webhooks/{id}": get webhooks::read, patch webhooks::update, delete webhooks::remove;
    "/v1/webhooks/{id}/rotate-secret": post rotation::rotate;
    "/v1/webhooks/{id}/rotate-secret/finish": post rotation::finish;
    "/v1/webhooks/{id}/recover": post recovery::recover;
    "/v1/webhooks/{id}/recoveries": get recovery::list;
    "/v1/webhooks/{id}/recoveries/{recovery_id}": get recovery::read;
    "/v1/webhooks/{id}/deliveries": get deliveries::list;
    "/v1/webhooks/{id}/health": get health::read;
    "/v1/webhooks/{id}/poll": get polling::poll;
    "/v1/deliveries/{id}": get deliveries::read;
    "/v1/deliveries/{id}/request": get deliveries::request;
    "/v1/deliveries/{id}/retry": post deliveries::retry;
    "/v1/deliveries/{id}/cancel": post deliveries::cancel;
    "/v1/events": get events::list, post events::publish;
    "/v1/events/batch": post events::publish_batch;
    "/v1/events/dry-run": post dry_run::dry_run;
    "/v1/events/{id}": get events::read;
    "/v1/event-types": get event_types::list, post event_types::create;
    "/v1/event-types/{name}": delete event_types::remove;
    "/v1/tokens": get tokens::list, post tokens::create;
    "/v1/tokens/{id}": delete tokens::remove;
    "/v1/signatures/debug": post signatures::debug;
    "/v1/filters/test": post filters::test;
    "/v1/portal-links": post portal_links::create;
    "/v1/portal-sessions": post portal_sessions::create, delete portal_sessions::remove;
    "/v1/openapi.json": get openapi::read;
    "/healthz": get healthz::read;
}
