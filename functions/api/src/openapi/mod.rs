//! `GET /v1/openapi.json`: the API's own description, OpenAPI 3.1.
//!
//! The document is made from the handlers and from the structs that are served, by a test, and kept in the repository;
//! what is deployed has its text alone, so that it costs a cold start nothing.

#[cfg(test)]
mod document;
#[cfg(test)]
pub(crate) mod requests;

use axum::{http::header, response::IntoResponse};

/// The kept document.
const DOCUMENT: &str = include_str!("../../../../infra/openapi.json");

/// Read this document
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "readOpenapi",
    tag = "Service",
    responses((status = 200, description = "The document.", content_type = "application/json", body = Object)),
))]
pub(crate) async fn read() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
