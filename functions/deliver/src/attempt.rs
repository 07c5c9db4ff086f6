//! One attempt: the request as the receiver gets it, and the answer as it is kept.

use crate::Deliverer;
use hookline::{
    VERSION,
    delivery::{Attempt, Delivery},
    endpoint::{Admitted, Answer, RetryAfter},
    event::Event,
    signature,
    time::Timestamp,
    webhook::Webhook,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::time::Duration;

/// How long a receiver has, all told: DNS, connect, TLS, headers and body.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time to record the attempt within the lease, clocks of other workers included.
const RECORD_MARGIN: Duration = Duration::from_secs(5);

/// An attempt, and what its answer says of the next one.
pub(crate) struct Attempted {
    pub(crate) attempt: Attempt,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) ended_at: Timestamp,
}

/// Makes the attempt that `delivery` was claimed for until `until`; none where too little of the lease is left, since
/// another worker could then make the same attempt.
pub(crate) async fn attempt(
    deliverer: &Deliverer,
    admitted: Admitted<'_>,
    event: &Event,
    webhook: &Webhook,
    delivery: &Delivery,
    until: Timestamp,
) -> Option<Attempted> {
    let number = delivery.next_number();
    let started_at = deliverer.app.clock.now();
    if until.since(started_at) < TIMEOUT + RECORD_MARGIN {
        tracing::warn!("the lease was nearly over before the attempt could begin");
        return None;
    }
    let headers = headers(event, webhook, number, started_at);
    let answer = admitted.post(headers, event.payload.clone(), TIMEOUT).await;
    let ended_at = deliverer.app.clock.now();
    let duration = ended_at.since(started_at);
    let retry_after = retry_after(&answer, ended_at);
    let attempt = Attempt {
        number,
        started_at,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        status_code: answer.status,
        error: answer.error.map(|error| error.as_str().to_owned()),
        response_body: answer.body_excerpt,
    };
    Some(Attempted { attempt, retry_after, ended_at })
}

fn headers(event: &Event, webhook: &Webhook, number: u32, now: Timestamp) -> HeaderMap {
    let id = event.id.to_string();
    let timestamp_s = now.unix_seconds();
    let standard = signature::standard(webhook.signing_secrets(now), &id, timestamp_s, &event.payload);
    let of_body = signature::of_body(webhook.oldest_signing_secret(now), &event.payload);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, ascii(&format!("Hookline/{VERSION}")));
    headers.insert(HeaderName::from_static("webhook-id"), ascii(&id));
    headers.insert(HeaderName::from_static("webhook-timestamp"), timestamp_s.into());
    headers.insert(HeaderName::from_static("webhook-signature"), ascii(&standard));
    headers.insert(HeaderName::from_static("x-webhook-signature"), ascii(&of_body));
    headers.insert(HeaderName::from_static("x-webhook-event"), ascii(event.event_type.as_str()));
    headers.insert(HeaderName::from_static("x-webhook-attempt"), number.into());
    headers
}

/// Ids, type names, hex and base64: all parsed, all ASCII.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, type names and signatures are visible ASCII")
}

/// What the receiver asks for by `Retry-After`, which counts on 429 and 503 alone.
fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    if !matches!(answer.status, Some(429 | 503)) {
        return None;
    }
    Some(match answer.retry_after? {
        RetryAfter::Seconds(seconds) => Duration::from_secs(seconds),
        RetryAfter::At(moment) => moment.since(now),
    })
}
