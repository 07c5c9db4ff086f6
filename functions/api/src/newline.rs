//! Ends every JSON answer with a newline, as text files and terminals expect. A payload that is a whole answer is left as it is,
//! because its bytes are those that are delivered and signed.

use crate::problem::Problem;
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::BytesMut;

/// Marks an answer, among its extensions, as the bytes of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PayloadBytes;

/// Ends the answer with a newline if it is JSON.
pub(crate) async fn end_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = matches!(content_type, Some(b"application/json" | b"application/problem+json"));
    if !is_json || response.extensions().get::<PayloadBytes>().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    // Handlers return whole bodies, so nothing is waited for here.
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) if bytes.ends_with(b"\n") => Response::from_parts(parts, Body::from(bytes)),
        Ok(bytes) => {
            let mut bytes = BytesMut::from(bytes);
            bytes.extend_from_slice(b"\n");
            Response::from_parts(parts, Body::from(bytes.freeze()))
        }
        Err(error) => Problem::internal(&error).into_response(),
    }
}
