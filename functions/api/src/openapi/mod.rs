//! `GET /v1/openapi.json`: the API's own description, OpenAPI 3.1.
//!
//! A test generates the document from the handlers and the structs that they serve, and compares it with the one in the
//! repository. The function contains only the text, so the document adds nothing to a cold start.

#[cfg(test)]
mod document;
#[cfg(test)]
mod examples;
#[cfg(test)]
pub(crate) mod requests;
#[cfg(test)]
mod webhooks;

use axum::{http::header, response::IntoResponse};

/// The document in the repository.
const DOCUMENT: &str = include_str!("../../../../infra/openapi.json");

/// Read this document
///
/// Answers 200 with the description of the API in OpenAPI 3.1. It needs no token.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "readOpenapi",
    tag = "Service",
    responses((status = 200, description = "The OpenAPI document.", content_type = "application/json", body = Object)),
))]
pub(crate) async fn read() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
