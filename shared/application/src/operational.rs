//! Operational events: what Hookline itself reports about webhooks and deliveries.
//!
//! An event goes to the account's other webhooks, and to those of the account `platform`. It is stored only if one of them subscribes
//! to its type. Its id follows from what it reports, so that reporting something twice publishes one event.

use crate::{App, Error, publishing};
use domain::{
    account::AccountId,
    delivery::{Delivery, DeliveryView, Task},
    event::{Event, NewEvent},
    event_type::{DELIVERY_FAILED, EventType, WEBHOOK_FAILING},
    id::EventId,
    job::{Job, OwnEvent},
    page::Order,
    webhook::Webhook,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use store::{StoreError, jobs, webhooks};
use telemetry::metrics;

/// How many webhooks are read at once.
const PAGE: usize = 100;

/// Enqueues the job that publishes an event of the type `name` with the object `view`.
pub(crate) async fn report(
    app: &App,
    account: &AccountId,
    id: EventId,
    name: &'static str,
    view: &impl Serialize,
) -> Result<(), Error> {
    let object = to_raw_value(view).expect("a view is JSON");
    let event = OwnEvent { account: account.clone(), id, event_type: EventType::operational(name), object };
    Ok(jobs::enqueue(&app.queues, account, &Job::Publish(event)).await?)
}

/// Reports that `webhook` is failing, if the recorded attempt of `task` shows it and no other delivery was failing before. Repeating it
/// is harmless.
pub async fn report_failing(app: &App, webhook: &Webhook, task: &Task, delivery: &Delivery) -> Result<(), Error> {
    let Some(failing) = delivery.failing(task) else { return Ok(()) };
    let mark = |webhook: &mut Webhook| -> Result<(), StoreError> {
        if webhook.is_enabled() && webhook.epoch == task.epoch {
            webhook.failing.get_or_insert(failing);
        }
        Ok(())
    };
    let marked = match webhook.failing {
        Some(_) => Some(webhook.clone()),
        None => webhooks::change(&app.store, &webhook.account, webhook.id, mark).await?,
    };
    if let Some(marked) = marked.filter(|marked| marked.failing == Some(failing)) {
        metrics::webhook_failing();
        let id = failing.report(marked.id);
        report(app, &marked.account, id, WEBHOOK_FAILING, &app.view(&marked)).await?;
    }
    Ok(())
}

/// Notes that a delivery to `webhook` has succeeded, if one was failing before.
pub async fn note_success(app: &App, webhook: &Webhook) -> Result<(), Error> {
    if webhook.failing.is_some() {
        let clear = |webhook: &mut Webhook| -> Result<(), StoreError> {
            webhook.failing = None;
            Ok(())
        };
        webhooks::change(&app.store, &webhook.account, webhook.id, clear).await?;
    }
    Ok(())
}

/// Reports that a delivery has failed, if the recorded attempt of `task` was its last one. Repeating it is harmless.
pub async fn report_failed(app: &App, webhook: &Webhook, task: &Task, delivery: &Delivery) -> Result<(), Error> {
    let Some(id) = delivery.failure_report(task) else { return Ok(()) };
    metrics::delivery_failed();
    report(app, &task.account, id, DELIVERY_FAILED, &DeliveryView::new(delivery, Some(webhook))).await
}

/// Publishes an event to the webhooks that subscribe to it.
pub async fn publish(app: &App, own: OwnEvent) -> Result<(), Error> {
    let platform = AccountId::platform();
    let is_platforms = own.account == platform;
    let object = with_account(&own.object, &own.account);
    publish_to(app, OwnEvent { account: platform, object, ..own.clone() }).await?;
    if is_platforms { Ok(()) } else { publish_to(app, own).await }
}

/// Publishes an event to the account's webhooks, if one of them receives it.
async fn publish_to(app: &App, own: OwnEvent) -> Result<(), Error> {
    if !is_wanted(app, &own).await? {
        return Ok(());
    }
    let OwnEvent { account, id, event_type, object } = own;
    let event = Event::new(account.clone(), id, &NewEvent { event_type, object, previous_data: None });
    publishing::publish(app, &account, &[event]).await
}

/// Whether a webhook of the account receives the event, now or when it is enabled.
async fn is_wanted(app: &App, own: &OwnEvent) -> Result<bool, StoreError> {
    let mut after = None;
    loop {
        let page = webhooks::page(&app.store, &own.account, after, PAGE, Order::Oldest).await?;
        if page.items.iter().any(|webhook| webhook.wants(own.id, &own.event_type)) {
            return Ok(true);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(false),
        }
    }
}

/// Returns the JSON object with the member `account` before the others. Another value, which only a forged message has, stays as it
/// is.
fn with_account(object: &RawValue, account: &AccountId) -> Box<RawValue> {
    let Some(members) = object.get().strip_prefix('{') else { return object.to_owned() };
    let separator = if members.trim_start().starts_with('}') { "" } else { "," };
    RawValue::from_string(format!(r#"{{"account":"{account}"{separator}{members}"#))
        .expect("an object with a member more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_sees_the_account() {
        let account = "acme".parse().expect("a name");
        for (object, expected) in [
            (r#"{"id":"wh_1","url":"/{a}"}"#, r#"{"account":"acme","id":"wh_1","url":"/{a}"}"#),
            ("{ }", r#"{"account":"acme" }"#),
            ("[]", "[]"),
        ] {
            let object = RawValue::from_string(object.to_owned()).expect("JSON");
            assert_eq!(with_account(&object, &account).get(), expected);
        }
    }
}
