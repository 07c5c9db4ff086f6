//! Disabling a webhook whose delivery has failed for good.

use crate::DeliverError;
use hookline::{
    app::App,
    delivery::Wakeup,
    disabling,
    store::webhooks,
    webhook::{DisabledReason, Webhook},
};

/// Disables the webhook that `wakeup` is for, if it is still at the generation of that wake-up, and tells the account's other
/// webhooks. Done twice it is disabled once.
pub(crate) async fn disable(app: &App, wakeup: &Wakeup, reason: DisabledReason) -> Result<(), DeliverError> {
    let now = app.clock.now();
    let is_at_it = |webhook: &Webhook| webhook.generation == wakeup.generation;
    let mut webhook = webhooks::get(app, &wakeup.account, wakeup.webhook()).await?;
    if webhook.as_ref().is_some_and(is_at_it) {
        let change = |webhook: &mut Webhook| -> Result<(), DeliverError> {
            if is_at_it(webhook) {
                webhook.disable(reason, now);
            }
            Ok(())
        };
        webhook = webhooks::change(app, &wakeup.account, wakeup.webhook(), change).await?;
    }
    if let Some(webhook) = webhook {
        disabling::tell(app, &webhook).await?;
    }
    Ok(())
}
