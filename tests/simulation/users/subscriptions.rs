//! Users who unsubscribe types and subscribe them again, sometimes before the tasks of what was
//! pending arrive, and sometimes while the webhook is disabled.

use std::time::Duration;

use domain::{account::AccountId, id::WebhookId};
use serde_json::json;
use tokio::time::sleep;

use super::Users;

impl Users {
    /// Unsubscribes everything that events are published for, and mostly subscribes again.
    pub(super) async fn resubscribe(&self, account: &AccountId, webhook: WebhookId) {
        let dice = &self.world.dice;
        let path = format!("/v1/webhooks/{webhook}");
        if dice.permille(500) {
            self.publish(account.as_str(), None, &self.new_event()).await;
        }
        let nothing = json!({"events": ["webhook.disabled"]});
        self.call_api(account.as_str(), "PATCH", &path, nothing).await;
        sleep(Duration::from_millis(*dice.pick(&[0, 500, 60_000, 600_000]))).await;
        if dice.permille(800) {
            let body = json!({"events": self.pick_subscriptions()});
            self.call_api(account.as_str(), "PATCH", &path, body).await;
        }
    }
}
