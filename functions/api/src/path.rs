//! The part of a path that names something.

use crate::{ApiState, problem::Problem};
use axum::{
    extract::{self, FromRequestParts},
    http::request::Parts,
};
use std::sync::Arc;

/// A name out of the path, decoded.
pub(crate) struct Path<T>(pub(crate) T);

impl FromRequestParts<Arc<ApiState>> for Path<String> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, Problem> {
        // Bytes that are no text name nothing.
        let name = extract::Path::from_request_parts(parts, state).await;
        name.map(|extract::Path(name)| Self(name)).map_err(|_| Problem::no_route())
    }
}
