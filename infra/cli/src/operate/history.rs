//! Everything that is known about a delivery: the event, the webhook as it is now, the stored delivery with its attempts, and
//! the schedule that the next attempt waits in.

use anyhow::{anyhow, ensure};
use application::App;
use aws_sdk_scheduler::operation::get_schedule::GetScheduleError;
use domain::{
    account::AccountId,
    delivery::{Delivery, Task, Trigger},
    id::DeliveryId,
};
use futures::try_join;
use serde_json::json;
use store::{aws::causes, deliveries, events, schedules, webhooks};

/// Prints the history as JSON. Leaves out the event's payload and the webhook's secret.
pub(crate) async fn print(app: &App, account: &AccountId, id: DeliveryId) -> anyhow::Result<()> {
    let (event, webhook, stored) = try_join!(
        events::get(&app.store, account, id.event),
        webhooks::get(&app.store, account, id.webhook),
        deliveries::get(&app.store, account, id)
    )?;
    ensure!(event.is_some() || stored.delivery.is_some(), "{account} has no delivery {id}: it may have expired");
    let schedule = match stored.delivery.as_ref().and_then(next_task) {
        Some(task) => schedule(app, &task).await?,
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
        "webhook": webhook.as_ref().map(|webhook| app.view(webhook)),
        "stored": stored.delivery,
        "schedule": schedule,
    });
    println!("{history:#}");
    Ok(())
}

/// Returns the task of the next attempt, if one is due. Only the fields that the schedule's name depends on are set.
fn next_task(delivery: &Delivery) -> Option<Task> {
    delivery.next_attempt_at?;
    let trigger = Trigger::Scheduled { run: delivery.run, step: delivery.step + 1 };
    let (account, epoch, revision) = (delivery.account.clone(), delivery.epoch, delivery.revision);
    Some(Task { account, delivery: delivery.delivery, epoch, revision, trigger, slot: None, slow: false })
}

/// Returns the one-time schedule that `task` waits in. Returns `None` if it waits on the queue instead.
async fn schedule(app: &App, task: &Task) -> anyhow::Result<Option<serde_json::Value>> {
    let (group, name) = (&app.queues.settings.schedule_group, schedules::name(task));
    match app.queues.scheduler.get_schedule().group_name(group).name(&name).send().await {
        Ok(found) => Ok(Some(json!({"group": group, "name": name, "fires": found.schedule_expression}))),
        Err(error) if error.as_service_error().is_some_and(GetScheduleError::is_resource_not_found_exception) => {
            Ok(None)
        }
        Err(error) => Err(anyhow!(causes(&error))),
    }
}
