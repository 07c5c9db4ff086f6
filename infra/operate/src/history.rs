//! All that is known of a delivery: the event, the webhook as it is now, what is stored of the delivery with its attempts,
//! and the schedule that its next attempt waits in.

use anyhow::{anyhow, ensure};
use aws_sdk_scheduler::operation::get_schedule::GetScheduleError;
use futures::try_join;
use hookline::{
    app::{App, causes},
    delivery::{Delivery, Turn, Wakeup},
    id::{AccountId, DeliveryId},
    queue,
    store::{deliveries, events, webhooks},
    webhook::WebhookView,
};
use serde_json::json;

/// Prints the history as JSON, without the event's payload and the webhook's secret.
pub(crate) async fn print(app: &App, account: &AccountId, id: DeliveryId) -> anyhow::Result<()> {
    let (event, webhook, stored) = try_join!(
        events::get(app, account, id.event),
        webhooks::get(app, account, id.webhook),
        deliveries::get(app, account, id)
    )?;
    ensure!(event.is_some() || stored.delivery.is_some(), "{account} has no delivery {id}: it may have expired");
    let schedule = match stored.delivery.as_ref().and_then(next_wakeup) {
        Some(wakeup) => schedule(app, &wakeup).await?,
        None => None,
    };
    let event = event.map(|event| {
        let (published_at, bytes) = (event.id.made_at().to_string(), event.payload.len());
        json!({"id": event.id, "type": event.event_type, "published_at": published_at, "bytes": bytes})
    });
    let status = stored.delivery.as_ref().map(|delivery| delivery.shown_status(webhook.as_ref()));
    let history = json!({
        "status": status,
        "event": event,
        "webhook": webhook.as_ref().map(WebhookView::from),
        "stored": stored.delivery,
        "schedule": schedule,
    });
    println!("{history:#}");
    Ok(())
}

/// The wake-up of the attempt that is due next, as far as the schedule's name needs it.
fn next_wakeup(delivery: &Delivery) -> Option<Wakeup> {
    delivery.next_attempt_at?;
    let turn = Turn::Scheduled { round: delivery.round, step: delivery.step + 1 };
    let (account, generation) = (delivery.account.clone(), delivery.generation);
    Some(Wakeup { account, delivery: delivery.delivery, generation, turn, slot: None, slow: false })
}

/// The one-time schedule that brings `wakeup`, where it waits in one and not on the queue.
async fn schedule(app: &App, wakeup: &Wakeup) -> anyhow::Result<Option<serde_json::Value>> {
    let (group, name) = (&app.config.schedule_group, queue::schedule_name(wakeup));
    match app.scheduler.get_schedule().group_name(group).name(&name).send().await {
        Ok(found) => Ok(Some(json!({"group": group, "name": name, "fires": found.schedule_expression}))),
        Err(error) if error.as_service_error().is_some_and(GetScheduleError::is_resource_not_found_exception) => {
            Ok(None)
        }
        Err(error) => Err(anyhow!(causes(&error))),
    }
}
