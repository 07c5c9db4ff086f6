//! Telling an account's other webhooks that Hookline has disabled one: the event `webhook.disabled`.

use crate::{
    app::App,
    event_type::EventType,
    metrics,
    publishing::PublishError,
    queue::{self, Job, OwnEvent},
    store::webhooks,
    webhook::{Webhook, WebhookView},
};

/// Tells of those disablings of `webhook` that are not told of yet, and notes that they are: whatever else failed for good
/// with the delivery that disabled it need not tell again. Done twice it is harmless: the event's id follows from the disabling.
pub async fn tell(app: &App, webhook: &Webhook) -> Result<(), PublishError> {
    let Some(last) = webhook.untold().last() else { return Ok(()) };
    for disabling in webhook.untold() {
        metrics::webhook_disabled(disabling.reason);
        let disabled = webhook.as_disabled(disabling);
        let event = OwnEvent {
            account: webhook.account.clone(),
            id: webhook.disabling(disabling.generation, disabling.at),
            event_type: EventType::webhook_disabled(),
            object: serde_json::value::to_raw_value(&WebhookView::from(&disabled)).expect("a view is JSON"),
        };
        queue::send_job(app, &webhook.account, &Job::Publish(event)).await?;
    }
    let note = |webhook: &mut Webhook| -> Result<(), PublishError> {
        webhook.note_told(last.generation);
        Ok(())
    };
    webhooks::change(app, &webhook.account, webhook.id, note).await?;
    Ok(())
}
