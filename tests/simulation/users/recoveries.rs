//! Users who recover webhooks, and who follow the progress of recoveries.

use std::time::Duration;

use domain::{
    account::AccountId,
    id::{RecoveryId, WebhookId},
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Answer, Users};
use crate::ledger::{Reading, Recovery};

impl Users {
    /// Enables a webhook, and recovers what has failed as well. Sometimes follows the recovery's progress.
    pub(super) async fn recover(&self) {
        let Some((account, webhook)) = self.pick_disabled_webhook() else { return };
        let body = json!({"status": "enabled"});
        self.call_api(account.as_str(), "PATCH", &format!("/v1/webhooks/{webhook}"), body).await;
        let dice = &self.world.dice;
        let (include_failed, backfill) = (!dice.permille(250), dice.permille(250));
        let (recovery, body) = self.begin_recovery(webhook, include_failed, backfill);
        let path = format!("/v1/webhooks/{webhook}/recover");
        let Some(answer) = self.call_api(account.as_str(), "POST", &path, body).await else { return };
        self.record_recovery_answer(recovery, &answer);
        if answer.status == 202 && dice.permille(500) {
            let id = answer.json()["id"].as_str().expect("an id").to_owned();
            self.follow(&account, webhook, &id).await;
        }
    }

    /// Reads a recovery a few times.
    async fn follow(&self, account: &AccountId, webhook: WebhookId, id: &str) {
        for _ in 0..3 {
            let began_ms = self.world.now_ms();
            let path = format!("/v1/webhooks/{webhook}/recoveries/{id}");
            if let Some(answer) = self.call_api(account.as_str(), "GET", &path, Value::Null).await
                && answer.status == 200
            {
                self.record_reading(began_ms, &answer.json());
            }
            sleep(Duration::from_millis(*self.world.dice.pick(&[10, 500, 20_000]))).await;
        }
    }

    /// Reads the latest recoveries of a webhook.
    pub(super) async fn list_recoveries(&self, account: &AccountId, webhook: WebhookId) {
        let began_ms = self.world.now_ms();
        let path = format!("/v1/webhooks/{webhook}/recoveries?limit=5");
        let Some(answer) = self.call_api(account.as_str(), "GET", &path, Value::Null).await else { return };
        for recovery in answer.json()["data"].as_array().into_iter().flatten() {
            self.record_reading(began_ms, recovery);
        }
    }

    fn record_reading(&self, began_ms: i64, shown: &Value) {
        let id: RecoveryId = shown["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let reading = Reading { id, began_ms, answered_ms: self.world.now_ms(), shown: shown.clone() };
        self.world.record().ledger.readings.push(reading);
    }

    /// Records a recovery that is about to be requested. Returns its index in the ledger, and the
    /// body of the request.
    fn begin_recovery(&self, webhook: WebhookId, include_failed: bool, backfill: bool) -> (usize, Value) {
        let now = self.world.now();
        let since = self.world.dice.pick(&[None, Some(600), Some(10 * 24 * 60 * 60)]);
        let since = since.map(|seconds| now.minus(Duration::from_secs(seconds)));
        let since_ms = since.map_or(0, Timestamp::unix_ms);
        let began_ms = now.unix_ms();
        let recovery = Recovery { webhook, since_ms, began_ms, include_failed, backfill, promised: false };
        let recoveries = &mut self.world.record().ledger.recoveries;
        recoveries.push(recovery);
        let since = since.map(|since| since.to_string());
        (recoveries.len() - 1, json!({"since": since, "include_failed": include_failed, "backfill": backfill}))
    }

    fn record_recovery_answer(&self, recovery: usize, answer: &Answer) {
        self.world.record().ledger.recoveries[recovery].promised = answer.status == 202;
    }

    /// Enables every disabled webhook, and recovers most of them.
    pub(crate) async fn recover_all(&self) {
        let mut webhooks = self.world.record().ledger.webhooks.clone();
        webhooks.retain(|(_, id)| self.is_disabled(*id));
        for (account, webhook) in webhooks {
            let path = format!("/v1/webhooks/{webhook}");
            self.call_api_until_answered(account.as_str(), "PATCH", &path, json!({"status": "enabled"})).await;
            if self.world.dice.permille(300) {
                continue;
            }
            let (recovery, body) = self.begin_recovery(webhook, true, false);
            let path = format!("{path}/recover");
            let answer = self.call_api_until_answered(account.as_str(), "POST", &path, body).await;
            self.record_recovery_answer(recovery, &answer);
        }
    }
}
