//! `GET /v1/webhooks/{id}/health`: computed from the webhook's latest deliveries when it is asked for.

use crate::{
    ApiState,
    auth::Manager,
    path::Path,
    problem::Problem,
    webhooks::{find, parse_id},
};
use axum::{Json, extract::State};
use hookline::{
    delivery::{Attempt, Delivery, DeliveryStatus},
    id::{DeliveryId, WebhookId},
    store::deliveries,
    webhook::WebhookStatus,
};
use serde::Serialize;
use std::sync::Arc;

/// Deliveries looked at.
const LATEST: usize = 100;

/// How a webhook has fared lately.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Health {
    webhook_id: WebhookId,
    status: WebhookStatus,
    /// Latest deliveries looked at, at most 100, without tests under way.
    deliveries: usize,
    /// Of those that have ended, the share that was delivered: 0 to 1.
    delivered_share: Option<f64>,
    /// Attempts made for each delivery that had one.
    attempts_per_delivery: Option<f64>,
    /// How long attempts took.
    latency_ms: Latency,
    last_success_at: Option<String>,
    last_failure: Option<Failure>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Latency {
    p50: Option<u64>,
    p95: Option<u64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Failure {
    at: String,
    delivery_id: DeliveryId,
    status_code: Option<u16>,
    error: Option<String>,
}

/// Read how a webhook fares
///
/// Computed from its latest 100 deliveries.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}/health",
    operation_id = "readHealth",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "How it fares.", body = Health)),
))]
pub(crate) async fn read(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<Health>, Problem> {
    let webhook = find(&state.app, &account, parse_id(&id)?).await?;
    let page = deliveries::list(&state.app, &webhook, None, LATEST, |_| true).await?;
    Ok(Json(Health::of(webhook.id, webhook.status, &page.items)))
}

impl Health {
    fn of(webhook_id: WebhookId, status: WebhookStatus, latest: &[Delivery]) -> Self {
        let count = |status| latest.iter().filter(|delivery| delivery.status == status).count();
        let delivered = count(DeliveryStatus::Delivered);
        let ended = delivered + count(DeliveryStatus::Failed);
        let attempted = latest.iter().filter(|delivery| delivery.made > 0).count();
        let made = latest.iter().map(|delivery| delivery.made as usize).sum();
        let attempts =
            || latest.iter().flat_map(|delivery| delivery.attempts.values().map(move |attempt| (delivery, attempt)));
        let mut durations: Vec<_> = attempts().map(|(_, attempt)| attempt.duration_ms).collect();
        durations.sort_unstable();
        let ended_at = |attempt: &Attempt| attempt.started_at;
        let last_success =
            attempts().filter(|(_, attempt)| attempt.succeeded()).map(|(_, attempt)| ended_at(attempt)).max();
        let failures = attempts().filter(|(_, attempt)| !attempt.succeeded());
        let last_failure = failures.max_by_key(|(_, attempt)| ended_at(attempt)).map(|(delivery, attempt)| Failure {
            at: attempt.started_at.to_string(),
            delivery_id: delivery.delivery,
            status_code: attempt.status_code,
            error: attempt.error.clone(),
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

fn ratio(part: usize, whole: usize) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "counts of at most some thousands")]
    let ratio = part as f64 / whole as f64;
    (whole > 0).then_some(ratio)
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<_> = (1..=100).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 95)), (Some(50), Some(95)));
        assert_eq!((percentile(&[7], 95), percentile(&[], 50)), (Some(7), None));
    }
}
