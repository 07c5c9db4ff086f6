//! The extractor of the ids in a path.

use crate::{problem::Problem, state::ApiState};
use axum::{
    extract::{self, FromRequestParts},
    http::request::Parts,
};
use domain::{
    event_type::EventType,
    id::{DeliveryId, EventId, RecoveryId, TokenId, WebhookId},
};
use std::{str::FromStr, sync::Arc};

/// An id that a path may contain. A text that does not parse as one is a 404, like the id of a missing object.
pub(crate) trait Named: FromStr {
    /// What the id is of, in words for the 404.
    const WHAT: &'static str;
}

impl Named for WebhookId {
    const WHAT: &'static str = "webhook";
}

impl Named for EventId {
    const WHAT: &'static str = "event";
}

impl Named for DeliveryId {
    const WHAT: &'static str = "delivery";
}

impl Named for RecoveryId {
    const WHAT: &'static str = "recovery";
}

impl Named for TokenId {
    const WHAT: &'static str = "token";
}

impl Named for EventType {
    const WHAT: &'static str = "event type";
}

/// The id in a path, or the two ids, decoded and parsed.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: Named> FromRequestParts<Arc<ApiState>> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, Problem> {
        // A path that is not UTF-8 matches no route.
        let extracted = extract::Path::<String>::from_request_parts(parts, state).await;
        let extract::Path(text) = extracted.map_err(|_| Problem::no_route())?;
        Ok(Self(parse(&text)?))
    }
}

impl<T: Named, U: Named> FromRequestParts<Arc<ApiState>> for Path<(T, U)> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, Problem> {
        let extracted = extract::Path::<(String, String)>::from_request_parts(parts, state).await;
        let extract::Path((outer, inner)) = extracted.map_err(|_| Problem::no_route())?;
        Ok(Self((parse(&outer)?, parse(&inner)?)))
    }
}

fn parse<T: Named>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(T::WHAT))
}
