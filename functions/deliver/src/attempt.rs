//! One attempt: the request as the receiver gets it, and the answer as it is stored.

use crate::{
    Deliverer,
    authorization::{Post, post},
};
use domain::{
    delivery::{Attempt, Attempted, RECORD_MARGIN, Ready, request},
    time::Timestamp,
};
use endpoint::{Admitted, Answer, RetryAfter};
use std::time::Duration;

/// Makes attempt `number` under a lease that ends at `until`. Returns `None` if too little of the lease is left, because
/// another worker could then make the same attempt.
pub(crate) async fn attempt(
    deliverer: &Deliverer,
    admitted: &Admitted<'_>,
    ready: Ready<'_>,
    number: u32,
    until: Timestamp,
) -> Option<Attempted> {
    let Ready { event, webhook, .. } = ready;
    let started_at = deliverer.app.clock.now();
    let timeout = webhook.options.attempt_timeout();
    if until.since(started_at) < timeout + RECORD_MARGIN {
        tracing::warn!("the lease was nearly over before the attempt could begin");
        return None;
    }
    // Signed at the moment of the POST, because requesting an access token takes time.
    let signed = || request::headers(event, webhook, number, deliverer.app.clock.now());
    let request = Post { headers: &signed, body: event.payload.clone(), timeout };
    let answer = post(deliverer, admitted, webhook.options.auth.as_ref(), request).await;
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
