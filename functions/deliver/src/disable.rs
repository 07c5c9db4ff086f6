//! Disabling a webhook whose delivery has failed for good, and telling the account's other webhooks.

use crate::DeliverError;
use hookline::{
    app::App,
    delivery::Wakeup,
    event_type::EventType,
    metrics,
    queue::{self, Job, OwnEvent},
    store::webhooks,
    webhook::{DisabledReason, Webhook, WebhookView},
};

/// Disables the webhook that `wakeup` is for, if it is still at the generation of that wake-up, and publishes
/// `webhook.disabled`. Done twice it is disabled once, and the event, whose id follows from the disabling, is one event.
pub(crate) async fn disable(app: &App, wakeup: &Wakeup, reason: DisabledReason) -> Result<(), DeliverError> {
    let now = app.clock.now();
    let change = |webhook: &mut Webhook| -> Result<(), DeliverError> {
        if webhook.generation == wakeup.generation {
            webhook.disable(reason, now);
        }
        Ok(())
    };
    let webhook = webhooks::change(app, &wakeup.account, wakeup.webhook(), change).await?;
    // It may have been enabled since a first try, whose news did not get any further.
    let Some(webhook) = webhook.and_then(|webhook| webhook.as_disabled(wakeup.generation + 1)) else { return Ok(()) };
    metrics::webhook_disabled(reason);
    let event = OwnEvent {
        account: webhook.account.clone(),
        id: webhook.disabling(webhook.generation, webhook.disabled_at.unwrap_or(now)),
        event_type: EventType::webhook_disabled(),
        object: serde_json::value::to_raw_value(&WebhookView::from(&webhook)).expect("a view is JSON"),
    };
    Ok(queue::send_job(app, &webhook.account, &Job::Publish(event)).await?)
}
