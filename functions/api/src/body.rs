//! Request bodies and queries, read within their limits.

use crate::{ApiState, problem::Problem};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    http::{header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use hookline::{
    event,
    input::{self, Fault, Fields},
};
use std::{str::FromStr, sync::Arc, time::Duration};

/// Limit of most bodies.
const SMALL_MAX: usize = 64 * 1024;
/// Limit of a batch of events. API Gateway and Lambda carry the body, and the answer with the same events, as strings in JSON,
/// where each may be twice as long: both stay within Lambda's 6 MB.
pub(crate) const BATCH_MAX: usize = 5 * 1024 * 1024 / 2;

/// How much of a body over its limit is read before the answer.
const DRAINED_MAX: usize = 8 * 1024 * 1024;
/// How long a body may take to come. API Gateway has it whole before it asks us; a client of the local runner may dawdle.
const READ_MAX: Duration = Duration::from_secs(30);

/// A JSON body of at most `MAX` bytes, as it came.
pub(crate) struct Json<const MAX: usize>(pub(crate) Bytes);

/// A body of most routes.
pub(crate) type SmallBody = Json<SMALL_MAX>;
/// An event.
pub(crate) type EventBody = Json<{ event::REQUEST_BYTES_MAX }>;
/// A batch of events.
pub(crate) type BatchBody = Json<BATCH_MAX>;

impl<const MAX: usize> Json<MAX> {
    /// Its fields.
    pub(crate) fn fields(&self) -> Result<Fields, Problem> {
        Ok(Fields::parse(&self.0)?)
    }

    /// Its fields; none where there is no body at all.
    pub(crate) fn fields_if_any(&self) -> Result<Fields, Problem> {
        Ok(Fields::parse(if self.0.is_empty() { b"{}" } else { &self.0 })?)
    }
}

impl<const MAX: usize> FromRequest<Arc<ApiState>> for Json<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<ApiState>) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = tokio::time::timeout(READ_MAX, read_body(request.into_body(), MAX)).await;
        let body = body.unwrap_or_else(|_| Err(Problem::malformed("The body came too slowly.")))?;
        let is_json = content_type.is_some_and(|value| value.to_str().is_ok_and(is_json));
        if is_json || body.is_empty() { Ok(Self(body)) } else { Err(Problem::unsupported_media_type()) }
    }
}

/// Reads a body of at most `max` bytes. A larger one is read on for a while and thrown away, since a client that is still
/// sending would not see the answer.
async fn read_body(body: Body, max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut taken, mut seen) = (BytesMut::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("The body broke off."))?;
        seen += chunk.len();
        if seen <= max {
            taken.extend_from_slice(&chunk);
        } else if seen > max + DRAINED_MAX {
            break;
        }
    }
    if seen <= max { Ok(taken.freeze()) } else { Err(too_large(max)) }
}

fn too_large(max: usize) -> Problem {
    if max == BATCH_MAX { Problem::batch_too_large() } else { Problem::too_large(max / 1024) }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The parameters of a request's query, each to be asked for once.
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl FromRequestParts<Arc<ApiState>> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<ApiState>) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let parameters = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(Self { parameters, faults: vec![] })
    }
}

impl Query {
    /// A parameter that may be missing.
    pub(crate) fn optional<T: FromStr>(&mut self, name: &str, fault: &str) -> Option<T> {
        let index = self.parameters.iter().position(|(parameter, _)| parameter == name)?;
        let (_, value) = self.parameters.remove(index);
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.fault(name, fault);
        }
        parsed
    }

    /// How many entries a page has: 1 to 100, 20 unless said otherwise.
    pub(crate) fn limit(&mut self) -> usize {
        let fault = "must be a whole number from 1 to 100";
        match self.optional("limit", fault) {
            None => 20,
            Some(limit @ 1..=100) => limit,
            Some(_) => {
                self.fault("limit", fault);
                20
            }
        }
    }

    /// Where a page goes on: the `next_cursor` of the page before.
    pub(crate) fn cursor<T: FromStr>(&mut self) -> Option<T> {
        self.optional("cursor", "must be the next_cursor of an earlier page")
    }

    fn fault(&mut self, name: &str, detail: &str) {
        self.faults.push(Fault { pointer: format!("/{name}"), detail: detail.to_owned() });
    }

    /// Ends the reading: whatever was not asked for is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.parameters) {
            self.fault(&input::shown(&name), "is not a known parameter");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid(self.faults)) }
    }
}
