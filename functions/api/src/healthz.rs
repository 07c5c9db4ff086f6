//! `GET /healthz`: reports that the service is up.

use axum::Json;
use serde::Serialize;

/// The answer of `GET /healthz`.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ServiceHealth))]
pub(crate) struct Healthz {
    /// Always `ok`.
    status: &'static str,
}

/// Report that the service is up
///
/// Answers 200 whenever the API runs. It needs no token and calls no other service, so it does not show whether tables and
/// queues work.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/healthz",
    operation_id = "readHealthz",
    tag = "Service",
    responses((status = 200, description = "The service is up.", body = Healthz)),
))]
pub(crate) async fn read() -> Json<Healthz> {
    Json(Healthz { status: "ok" })
}
