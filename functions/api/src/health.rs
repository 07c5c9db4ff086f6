//! `GET /v1/webhooks/{id}/health`: computed from the webhook's latest deliveries at every request. Nothing is stored for it.

use crate::{auth::Manager, path::Path, problem::Problem, state::ApiState, webhooks::find};
use axum::{Json, extract::State};
use domain::{
    delivery::{Attempt, AttemptError, Delivery, DeliveryStatus},
    id::{DeliveryId, WebhookId},
    webhook::WebhookStatus,
};
use serde::Serialize;
use std::sync::Arc;
use store::deliveries;

/// How many of the latest deliveries are read.
const LATEST: usize = 100;

/// The health of a webhook, computed from its latest deliveries.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WebhookHealth))]
pub(crate) struct Health {
    /// The webhook's id.
    webhook_id: WebhookId,
    /// Whether the webhook is enabled.
    status: WebhookStatus,
    /// How many deliveries the other values are computed from: the latest, at most 100. Deliveries that wait for their first
    /// attempt and test deliveries are left out.
    deliveries: usize,
    /// The share of `delivered` among the `delivered` and `failed` deliveries, from 0 to 1. `null` if there are none.
    delivered_share: Option<f64>,
    /// The average number of attempts of the deliveries that had one, at least 1. `null` if there are none.
    attempts_per_delivery: Option<f64>,
    /// How long the attempts took, in milliseconds.
    latency_ms: Latency,
    /// When the latest successful attempt began. `null` if there is none.
    last_success_at: Option<String>,
    /// The latest failed attempt. `null` if there is none.
    last_failure: Option<Failure>,
}

/// Percentiles of the durations of attempts, by the nearest-rank method, in milliseconds.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Latency {
    /// The median. `null` if there was no attempt.
    p50: Option<u64>,
    /// The 95th percentile. `null` if there was no attempt.
    p95: Option<u64>,
}

/// A failed attempt.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = FailedAttempt))]
struct Failure {
    /// When the attempt began.
    at: String,
    /// The delivery that the attempt belongs to.
    delivery_id: DeliveryId,
    /// The receiver's HTTP status code. `null` if it sent none.
    status_code: Option<u16>,
    /// Why there was no complete answer. `null` if the answer was complete.
    error: Option<AttemptError>,
}

/// Read a webhook's health
///
/// Computes the health from the webhook's latest 100 deliveries: the share delivered, the attempts for each delivery, the
/// latency, the latest success and the latest failure. Test deliveries are left out. Answers 200 with the health. Fails with 404 if the account has no such
/// webhook.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}/health",
    operation_id = "readHealth",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    responses((status = 200, description = "The webhook's health.", body = Health)),
))]
pub(crate) async fn read(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
) -> Result<Json<Health>, Problem> {
    let webhook = find(&state.app, &account, id).await?;
    let page = deliveries::list(&state.app.store, &webhook, None, LATEST, |delivery| !delivery.is_test()).await?;
    Ok(Json(Health::of(webhook.id, webhook.status, &page.items)))
}

impl Health {
    fn of(webhook_id: WebhookId, status: WebhookStatus, latest: &[Delivery]) -> Self {
        let count = |status| latest.iter().filter(|delivery| delivery.status == status).count();
        let delivered = count(DeliveryStatus::Delivered);
        let ended = delivered + count(DeliveryStatus::Failed);
        let attempted = latest.iter().filter(|delivery| delivery.attempts_made > 0).count();
        let made = latest.iter().map(|delivery| delivery.attempts_made as usize).sum();
        let attempts =
            || latest.iter().flat_map(|delivery| delivery.attempts.values().map(move |attempt| (delivery, attempt)));
        let mut durations: Vec<_> = attempts().map(|(_, attempt)| attempt.duration_ms).collect();
        durations.sort_unstable();
        let started_at = |attempt: &Attempt| attempt.started_at;
        let last_success =
            attempts().filter(|(_, attempt)| attempt.succeeded()).map(|(_, attempt)| started_at(attempt)).max();
        let failures = attempts().filter(|(_, attempt)| !attempt.succeeded());
        let last_failure = failures.max_by_key(|(_, attempt)| started_at(attempt)).map(|(delivery, attempt)| Failure {
            at: attempt.started_at.to_string(),
            delivery_id: delivery.delivery,
            status_code: attempt.status_code,
            error: attempt.error,
        });
        Self {
            webhook_id,
            status,
            deliveries: latest.len(),
            delivered_share: ratio(delivered, ended),
            attempts_per_delivery: ratio(made, attempted),
            latency_ms: Latency { p50: percentile(&durations, 50), p95: percentile(&durations, 95) },
            last_success_at: last_success.map(|at| at.to_string()),
            last_failure,
        }
    }
}

/// Returns `part / whole`, or `None` if `whole` is zero.
fn ratio(part: usize, whole: usize) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "counts of at most some thousands")]
    let ratio = part as f64 / whole as f64;
    (whole > 0).then_some(ratio)
}

/// Returns the nearest-rank percentile of sorted values, or `None` if there are none.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_use_the_nearest_rank() {
        let sorted: Vec<_> = (1..=100).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 95)), (Some(50), Some(95)));
        assert_eq!((percentile(&[7], 95), percentile(&[], 50)), (Some(7), None));
    }
}
