//! Disabling a webhook, and announcing it with the event `webhook.disabled`.

use crate::{App, Error};
use domain::{
    delivery::Task,
    event_type::EventType,
    job::{Job, OwnEvent},
    webhook::{DisabledReason, Webhook, WebhookView},
};
use store::{StoreError, jobs, webhooks};
use telemetry::metrics;

/// Disables the webhook of a failed `task`, if the webhook still has the task's epoch, and announces the disabling. Repeating
/// the call is harmless: it disables the webhook only once.
pub async fn disable(app: &App, task: &Task, reason: DisabledReason) -> Result<(), Error> {
    let now = app.clock.now();
    let has_epoch = |webhook: &Webhook| webhook.epoch == task.epoch;
    let mut webhook = webhooks::get(&app.store, &task.account, task.webhook()).await?;
    if webhook.as_ref().is_some_and(has_epoch) {
        let change = |webhook: &mut Webhook| -> Result<(), StoreError> {
            if has_epoch(webhook) {
                webhook.disable(reason, now);
            }
            Ok(())
        };
        webhook = webhooks::change(&app.store, &task.account, task.webhook(), change).await?;
    }
    match webhook {
        Some(webhook) => announce(app, &webhook).await,
        None => Ok(()),
    }
}

/// Publishes `webhook.disabled` for each unannounced disabling, then marks it announced, so that other failed deliveries of the
/// same webhook do not announce it again. Repeating it is harmless: the event's id follows from the disabling.
pub async fn announce(app: &App, webhook: &Webhook) -> Result<(), Error> {
    let Some(last) = webhook.unannounced().last() else { return Ok(()) };
    for disabling in webhook.unannounced() {
        metrics::webhook_disabled(disabling.reason);
        let disabled = webhook.as_disabled(disabling);
        let event = OwnEvent {
            account: webhook.account.clone(),
            id: webhook.announcement(disabling.epoch, disabling.at),
            event_type: EventType::webhook_disabled(),
            object: serde_json::value::to_raw_value(&WebhookView::from(&disabled)).expect("a view is JSON"),
        };
        jobs::enqueue(&app.queues, &webhook.account, &Job::Publish(event)).await?;
    }
    let mark = |webhook: &mut Webhook| -> Result<(), StoreError> {
        webhook.mark_announced(last.epoch);
        Ok(())
    };
    webhooks::change(&app.store, &webhook.account, webhook.id, mark).await?;
    Ok(())
}
