//! Disabling a webhook, and announcing it with the event `webhook.disabled`.

use crate::{App, Error, operational, trials};
use domain::{
    delivery::{Delivery, Task},
    event_type::{WEBHOOK_DISABLED, WEBHOOK_RECOVERED},
    time::{CLOCK_SKEW, Timestamp},
    webhook::{
        DisabledReason, Webhook,
        options::{DisableOn, LATEST_LOOKED_AT},
    },
};
use store::{StoreError, deliveries, webhooks};
use telemetry::metrics;

/// Disables the webhook of `delivery`, whose attempt for `task` asks for it, and announces the disabling. Does nothing for a
/// failure that the webhook tolerates. Repeating the call is harmless: it disables the webhook only once.
pub async fn disable(app: &App, task: &Task, delivery: &Delivery, reason: DisabledReason) -> Result<(), Error> {
    let now = app.clock.now();
    // With another epoch, the webhook is disabled already, and only its announcement may be left to make.
    let has_epoch = |webhook: &Webhook| webhook.epoch == task.epoch;
    let mut webhook = webhooks::get(&app.store, &task.account, task.webhook()).await?;
    if let Some(enabled) = webhook.as_ref().filter(|webhook| has_epoch(webhook)) {
        if reason == DisabledReason::Failures && is_tolerated(app, enabled, delivery).await? {
            tracing::info!("the webhook stays enabled: it has taken another delivery meanwhile");
            return Ok(());
        }
        let change = |webhook: &mut Webhook| -> Result<(), StoreError> {
            if has_epoch(webhook) {
                webhook.disable(reason, now);
                begin_trials(app, webhook, task, reason, now);
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

/// Whether the webhook's option `disable_on` tolerates that `delivery` has failed: another one has succeeded since the first
/// attempt of its run.
async fn is_tolerated(app: &App, webhook: &Webhook, delivery: &Delivery) -> Result<bool, Error> {
    let Some(since) = delivery.run_began_at() else { return Ok(false) };
    let is_success = |other: &Delivery| other.delivery != delivery.delivery && other.has_succeeded_since(since);
    Ok(webhook.options.disable_on == DisableOn::NoSuccess
        && deliveries::any_of_latest(&app.store, webhook, LATEST_LOOKED_AT, is_success).await?)
}

/// Begins the trials of a webhook that failures have just disabled.
fn begin_trials(app: &App, webhook: &mut Webhook, task: &Task, reason: DisabledReason, now: Timestamp) {
    if reason == DisabledReason::Failures {
        let schedule = webhook.options.retry_schedule(&app.retry_schedule);
        let first = now.minus(schedule.longest() + CLOCK_SKEW);
        webhook.begin_trials(task.delivery.event, first, app.trials_of(webhook));
    }
}

/// Publishes `webhook.disabled` for each unannounced disabling and `webhook.recovered` for each unannounced recovery by a trial, and
/// schedules the first trial. Then marks them announced, so that other failed deliveries of the same webhook do not do this again.
/// Repeating it is harmless: the ids of the events follow from what they report.
pub async fn announce(app: &App, webhook: &Webhook) -> Result<(), Error> {
    let disabled = webhook.unannounced().map(|disabling| disabling.epoch).max();
    let recovered: Vec<_> = webhook.unannounced_recoveries().collect();
    if disabled.is_none() && recovered.is_empty() {
        return Ok(());
    }
    for disabling in webhook.unannounced() {
        metrics::webhook_disabled(disabling.reason);
        let id = webhook.announcement(disabling.epoch, disabling.at);
        let view = app.view(&webhook.as_disabled(disabling));
        operational::report(app, &webhook.account, id, WEBHOOK_DISABLED, &view).await?;
    }
    if disabled == Some(webhook.epoch) {
        trials::place(app, webhook).await?;
    }
    for (epoch, at) in &recovered {
        metrics::webhook_recovered();
        let id = webhook.recovery_report(*epoch, *at);
        operational::report(app, &webhook.account, id, WEBHOOK_RECOVERED, &app.view(&webhook.as_recovered(*at)))
            .await?;
    }
    let mark = |webhook: &mut Webhook| -> Result<(), StoreError> {
        if let Some(epoch) = disabled {
            webhook.mark_announced(epoch);
        }
        for (epoch, _) in &recovered {
            webhook.mark_recovery_announced(*epoch);
        }
        Ok(())
    };
    webhooks::change(&app.store, &webhook.account, webhook.id, mark).await?;
    Ok(())
}
