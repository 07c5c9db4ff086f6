//! Which endpoints have just timed out, as far as this process knows.
//!
//! An endpoint that hangs takes a process's time for as long as an attempt may last. Where many hang together, as in an outage of
//! a hosting provider, they would take the concurrency of all others. Tasks for them therefore move to a queue of their own,
//! whose event source mapping has a concurrency of its own.

use hookline::{delivery::Attempt, id::WebhookId, time::Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Timeouts in a row that make an endpoint slow: a single one may be chance.
const TIMEOUTS: u32 = 2;
/// How long an endpoint is taken for slow after its last timeout. Then one task finds out anew.
const KEPT: Duration = Duration::from_secs(60);
/// Endpoints that are remembered at once.
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
    /// Whether the webhook's endpoint timed out often enough, and not long ago.
    pub(crate) fn contains(&self, webhook: WebhookId, now: Timestamp) -> bool {
        let endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.get(&webhook).is_some_and(|seen| seen.in_a_row >= TIMEOUTS && now < seen.last.plus(KEPT))
    }

    /// Takes note of how an attempt ended at `now`.
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

    fn attempt(error: Option<&str>) -> Attempt {
        Attempt {
            number: 1,
            started_at: Timestamp::EPOCH,
            duration_ms: 5_000,
            status_code: error.is_none().then_some(500),
            error: error.map(str::to_owned),
            response_body: None,
        }
    }

    #[test]
    fn timeouts_in_a_row_make_an_endpoint_slow_until_it_answers_or_time_has_passed() {
        let (endpoints, webhook) = (SlowEndpoints::default(), WebhookId::first_at(Timestamp::EPOCH));
        let now = Timestamp::EPOCH;
        endpoints.note(webhook, &attempt(Some("timeout")), now);
        assert!(!endpoints.contains(webhook, now), "one timeout may be chance");
        endpoints.note(webhook, &attempt(Some("timeout")), now);
        assert!(endpoints.contains(webhook, now));
        assert!(!endpoints.contains(webhook, now.plus(KEPT)), "one task finds out anew");
        endpoints.note(webhook, &attempt(None), now);
        assert!(!endpoints.contains(webhook, now), "an answer of any kind is one");
        endpoints.note(webhook, &attempt(Some("connect")), now);
        assert!(!endpoints.contains(webhook, now), "a refused connection takes no time");
    }
}
