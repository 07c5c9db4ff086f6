//! Users who cancel deliveries: before the first attempt, during one, between two, and after the last.

use std::time::Duration;

use domain::account::AccountId;
use domain::id::DeliveryId;
use serde_json::Value;
use tokio::time::sleep;

use super::Users;
use crate::ledger::Cancelled;

impl Users {
    /// Cancels a delivery of any age, or one of an event that has just been published. Sometimes
    /// two users do so at once.
    pub(super) async fn cancel(&self) {
        let dice = &self.world.dice;
        let picked = if dice.permille(600) { self.publish_and_pick().await } else { self.pick_delivery() };
        let Some((account, delivery)) = picked else { return };
        if dice.permille(200) {
            tokio::join!(self.cancel_one(&account, delivery), self.cancel_one(&account, delivery));
        } else {
            self.cancel_one(&account, delivery).await;
        }
    }

    /// Publishes an event, waits for up to some seconds, and picks a webhook of its account.
    async fn publish_and_pick(&self) -> Option<(AccountId, DeliveryId)> {
        let dice = &self.world.dice;
        let (account, webhook) = self.pick_webhook()?;
        self.publish(account.as_str(), None, &self.new_event()).await;
        sleep(Duration::from_millis(*dice.pick(&[0, 30, 300, 2_500]))).await;
        let event = {
            let record = self.world.record();
            let mut events = record.ledger.published.iter().filter(|published| published.account == account);
            events.next_back()?.id
        };
        Some((account, DeliveryId { event, webhook }))
    }

    fn pick_delivery(&self) -> Option<(AccountId, DeliveryId)> {
        let record = self.world.record();
        let written = record.deliveries.iter().map(|write| &write.delivery);
        let stored: Vec<_> = written.map(|delivery| (delivery.account.clone(), delivery.delivery)).collect();
        (!stored.is_empty()).then(|| self.world.dice.pick(&stored).clone())
    }

    async fn cancel_one(&self, account: &AccountId, delivery: DeliveryId) {
        let index = {
            let cancelled = &mut self.world.record().ledger.cancelled;
            cancelled.push(Cancelled { delivery, answered_ms: None });
            cancelled.len() - 1
        };
        let path = format!("/v1/deliveries/{delivery}/cancel");
        let Some(answer) = self.call_api(account.as_str(), "POST", &path, Value::Null).await else { return };
        if answer.status == 200 {
            assert_eq!(answer.json()["status"], "cancelled", "{delivery}: {:?}", answer.body);
            self.world.record().ledger.cancelled[index].answered_ms = Some(self.world.now_ms());
        }
    }
}
