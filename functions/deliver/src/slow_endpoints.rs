//! The endpoints that have just timed out, as far as this process knows.
//!
//! An endpoint that hangs occupies a process for as long as an attempt may last. If many hang together, as in an outage of a
//! hosting provider, they would take the concurrency that all others need. Their tasks therefore move to a queue of their own,
//! whose event source mapping has a concurrency of its own.

use domain::{delivery::Attempt, id::WebhookId, time::Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Timeouts in a row that make an endpoint slow: a single one may be chance.
const TIMEOUTS: u32 = 2;
/// How long an endpoint counts as slow after its last timeout. After that it is attempted as usual, until it times out once
/// more.
const KEPT: Duration = Duration::from_secs(60);
/// The most endpoints that are remembered.
const ENDPOINTS_MAX: usize = 10_000;

/// The endpoints that timed out lately, by webhook.
#[derive(Debug, Default)]
pub struct SlowEndpoints(Mutex<HashMap<WebhookId, Timeouts>>);

#[derive(Clone, Copy, Debug)]
struct Timeouts {
    in_a_row: u32,
    last: Timestamp,
}

impl SlowEndpoints {
    /// Whether the webhook's endpoint is slow at `now`: its latest attempts timed out, the last one not long ago.
    pub(crate) fn contains(&self, webhook: WebhookId, now: Timestamp) -> bool {
        let endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.get(&webhook).is_some_and(|seen| seen.in_a_row >= TIMEOUTS && now < seen.last.plus(KEPT))
    }

    /// Notes how an attempt ended at `now`.
    pub(crate) fn note(&self, webhook: WebhookId, attempt: &Attempt, now: Timestamp) {
        let mut endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !attempt.timed_out() {
            endpoints.remove(&webhook);
            return;
        }
        if endpoints.len() >= ENDPOINTS_MAX {
            endpoints.retain(|_, seen| now < seen.last.plus(KEPT));
            if endpoints.len() >= ENDPOINTS_MAX {
                endpoints.clear();
            }
        }
        let seen = endpoints.entry(webhook).or_insert(Timeouts { in_a_row: 0, last: now });
        *seen = Timeouts { in_a_row: seen.in_a_row.saturating_add(1), last: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::delivery::AttemptError;

    fn attempt(error: Option<AttemptError>) -> Attempt {
        Attempt {
            number: 1,
            started_at: Timestamp::EPOCH,
            duration_ms: 5_000,
            status_code: error.is_none().then_some(500),
            error,
            response_body: None,
        }
    }

    #[test]
    fn timeouts_in_a_row_make_an_endpoint_slow_until_it_answers_or_a_minute_has_passed() {
        let (endpoints, webhook) = (SlowEndpoints::default(), WebhookId::first_at(Timestamp::EPOCH));
        let now = Timestamp::EPOCH;
        endpoints.note(webhook, &attempt(Some(AttemptError::Timeout)), now);
        assert!(!endpoints.contains(webhook, now), "one timeout may be chance");
        endpoints.note(webhook, &attempt(Some(AttemptError::Timeout)), now);
        assert!(endpoints.contains(webhook, now));
        assert!(!endpoints.contains(webhook, now.plus(KEPT)), "it is attempted as usual again");
        endpoints.note(webhook, &attempt(None), now);
        assert!(!endpoints.contains(webhook, now), "any answer ends it");
        endpoints.note(webhook, &attempt(Some(AttemptError::Connect)), now);
        assert!(!endpoints.contains(webhook, now), "a refused connection takes no time");
    }
}
