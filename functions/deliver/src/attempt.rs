//! One attempt: the request as the receiver gets it, and the answer as it is stored.

use crate::Deliverer;
use domain::{
    VERSION,
    delivery::{ATTEMPT_TIMEOUT, Attempt, Attempted, RECORD_MARGIN, Ready},
    event::Event,
    signature,
    time::Timestamp,
    webhook::Webhook,
};
use endpoint::{Admitted, Answer, RetryAfter};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::time::Duration;

/// Makes attempt `number` under a lease that ends at `until`. Returns `None` if too little of the lease is left, because
/// another worker could then make the same attempt.
pub(crate) async fn attempt(
    deliverer: &Deliverer,
    admitted: Admitted<'_>,
    ready: Ready<'_>,
    number: u32,
    until: Timestamp,
) -> Option<Attempted> {
    let Ready { event, webhook } = ready;
    let started_at = deliverer.app.clock.now();
    if until.since(started_at) < ATTEMPT_TIMEOUT + RECORD_MARGIN {
        tracing::warn!("the lease was nearly over before the attempt could begin");
        return None;
    }
    let headers = headers(event, webhook, number, started_at);
    let answer = admitted.post(headers, event.payload.clone(), ATTEMPT_TIMEOUT).await;
    let ended_at = deliverer.app.clock.now();
    let duration = ended_at.since(started_at);
    let retry_after = retry_after(&answer, ended_at);
    let attempt = Attempt {
        number,
        started_at,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        status_code: answer.status,
        error: answer.error,
        response_body: answer.body_excerpt,
    };
    Some(Attempted { attempt, retry_after, ended_at })
}

fn headers(event: &Event, webhook: &Webhook, number: u32, now: Timestamp) -> HeaderMap {
    let id = event.id.to_string();
    let timestamp_s = now.unix_seconds();
    let standard = signature::standard(webhook.signing_secrets(now), &id, timestamp_s, &event.payload);
    let body_hmac = signature::body_hmac(webhook.oldest_signing_secret(now), &event.payload);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, ascii(&format!("Hookline/{VERSION}")));
    headers.insert(HeaderName::from_static("webhook-id"), ascii(&id));
    headers.insert(HeaderName::from_static("webhook-timestamp"), timestamp_s.into());
    headers.insert(HeaderName::from_static("webhook-signature"), ascii(&standard));
    headers.insert(HeaderName::from_static("x-webhook-signature"), ascii(&body_hmac));
    headers.insert(HeaderName::from_static("x-webhook-event"), ascii(event.event_type.as_str()));
    headers.insert(HeaderName::from_static("x-webhook-attempt"), number.into());
    headers
}

/// Converts ids, type names, hex or base64, which are always visible ASCII.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, type names and signatures are visible ASCII")
}

/// Returns the wait that the receiver asks for with `Retry-After`, which counts on 429 and 503 alone.
fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    if !matches!(answer.status, Some(429 | 503)) {
        return None;
    }
    Some(match answer.retry_after? {
        RetryAfter::Seconds(seconds) => Duration::from_secs(seconds),
        RetryAfter::At(moment) => moment.since(now),
    })
}
