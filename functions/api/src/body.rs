//! Extractors of request bodies and queries, with limits on size and time.

use crate::{problem::Problem, state::ApiState};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderValue, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use domain::{
    diagnosis, event,
    input::{self, Fault, Fields},
};
use futures::StreamExt;
use std::{collections::HashSet, str::FromStr, sync::Arc, time::Duration};

/// The most bytes of most bodies.
const SMALL_MAX: usize = 64 * 1024;
/// The most bytes of a batch of events. Lambda carries the body, and the answer with the same events, as a JSON string, which
/// can be twice as long. Both stay within Lambda's limit of 6 MB.
pub(crate) const BATCH_MAX: usize = 5 * 1024 * 1024 / 2;

/// How many bytes past the limit of a body are read before the answer.
const DRAINED_MAX: usize = 8 * 1024 * 1024;
/// How long reading a body may take. API Gateway has the whole body before it invokes the function, but a client of the local
/// runner may be slow.
const READ_MAX: Duration = Duration::from_secs(30);

/// The bytes of a JSON body, at most `MAX`. They are not parsed yet.
pub(crate) struct Json<const MAX: usize>(pub(crate) Bytes);

/// The body of most routes.
pub(crate) type SmallBody = Json<SMALL_MAX>;
/// The body with one event.
pub(crate) type EventBody = Json<{ event::REQUEST_BYTES_MAX }>;
/// The body with a request that a receiver got.
pub(crate) type DiagnosisBody = Json<{ diagnosis::REQUEST_BYTES_MAX }>;
/// The body with a batch of events.
pub(crate) type BatchBody = Json<BATCH_MAX>;

impl<const MAX: usize> Json<MAX> {
    /// Parses the body and returns its fields.
    pub(crate) fn fields(&self) -> Result<Fields, Problem> {
        Ok(Fields::parse(&self.0)?)
    }

    /// Parses the body and returns its fields. An empty body has none.
    pub(crate) fn fields_if_any(&self) -> Result<Fields, Problem> {
        Ok(Fields::parse(if self.0.is_empty() { b"{}" } else { &self.0 })?)
    }
}

impl<const MAX: usize> FromRequest<Arc<ApiState>> for Json<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<ApiState>) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let is_encoded = !request.headers().get_all(header::CONTENT_ENCODING).iter().all(is_identity);
        let body = tokio::time::timeout(READ_MAX, read_body(request.into_body(), MAX)).await;
        let body = body.unwrap_or_else(|_| Err(Problem::malformed("The body took too long to arrive.")))?;
        if is_encoded {
            return Err(Problem::unsupported_content_encoding());
        }
        let is_json = content_type.is_some_and(|value| value.to_str().is_ok_and(is_json));
        if is_json || body.is_empty() { Ok(Self(body)) } else { Err(Problem::unsupported_media_type()) }
    }
}

/// Whether a `Content-Encoding` says that the body is not encoded.
fn is_identity(value: &HeaderValue) -> bool {
    value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity")
}

/// Reads a body of at most `max` bytes. Of a larger body, up to [`DRAINED_MAX`] bytes more are read and discarded, because a
/// client that is still sending would not see the answer.
async fn read_body(body: Body, max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut taken, mut seen) = (BytesMut::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("The body is incomplete."))?;
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

/// The most entries of a page.
const PAGE_MAX: usize = 100;
/// The entries of a page, if the request does not say.
const PAGE_DEFAULT: usize = 20;

/// The query parameters that were not read yet, each once, and the faults found so far.
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl FromRequestParts<Arc<ApiState>> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<ApiState>) -> Result<Self, Problem> {
        let text = parts.uri.query().unwrap_or_default();
        let mut query = Self { parameters: vec![], faults: vec![] };
        let mut seen = HashSet::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()).into_owned() {
            if seen.insert(name.clone()) {
                query.parameters.push((name, value));
            } else {
                query.fault(&name, "is given twice");
            }
        }
        Ok(query)
    }
}

impl Query {
    /// Reads and removes an optional parameter. One that does not parse gets the fault `fault`.
    pub(crate) fn optional<T: FromStr>(&mut self, name: &str, fault: &str) -> Option<T> {
        self.read(name, |value| value.parse().map_err(|_| fault.to_owned()))
    }

    /// Reads and removes an optional parameter. One that does not parse gets the parser's own fault.
    pub(crate) fn parsed<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Option<T> {
        self.read(name, |value| value.parse().map_err(|fault: T::Err| fault.to_string()))
    }

    /// Reads and removes an optional parameter with `parse`.
    pub(crate) fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let index = self.parameters.iter().position(|(parameter, _)| parameter == name)?;
        let (_, value) = self.parameters.remove(index);
        match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(fault) => {
                self.fault(name, &fault);
                None
            }
        }
    }

    /// Reads `limit`, the most entries of a page: 1 to 100, 20 by default.
    pub(crate) fn limit(&mut self) -> usize {
        let fault = format!("must be a whole number from 1 to {PAGE_MAX}");
        match self.optional("limit", &fault) {
            None => PAGE_DEFAULT,
            Some(limit @ 1..=PAGE_MAX) => limit,
            Some(_) => {
                self.fault("limit", &fault);
                PAGE_DEFAULT
            }
        }
    }

    /// Reads `cursor`, the `next_cursor` of the page before.
    pub(crate) fn cursor<T: FromStr>(&mut self) -> Option<T> {
        self.optional("cursor", "must be the next_cursor of an earlier page")
    }

    fn fault(&mut self, name: &str, detail: &str) {
        self.faults.push(Fault { pointer: format!("/{}", input::shown(name)), detail: detail.to_owned() });
    }

    /// Ends the reading. Each parameter that was not read is an unknown one, which is a fault.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.parameters) {
            self.fault(&name, "is not a known parameter");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid(self.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;

    const PROMISES: &str = include_str!("../../../infra/docs/promises.md");

    #[test]
    fn the_documents_give_the_limits_of_bodies_and_pages() {
        let mib = 1024 * 1024;
        for row in [
            format!("| event | {} KiB |", event::REQUEST_BYTES_MAX / 1024),
            format!(
                "| batch | 1 to {} events, {}.{} MiB |",
                events::BATCH_MAX,
                BATCH_MAX / mib,
                BATCH_MAX % mib * 10 / mib
            ),
            format!("| request to debug | {} MiB |", diagnosis::REQUEST_BYTES_MAX / mib),
            format!("| other bodies | {} KiB |", SMALL_MAX / 1024),
            format!("| page | 1 to {PAGE_MAX} entries, default {PAGE_DEFAULT};"),
        ] {
            assert!(PROMISES.lines().any(|line| line.starts_with(&row)), "promises.md does not say {row}");
        }
    }
}
