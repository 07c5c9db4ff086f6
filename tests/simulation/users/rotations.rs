//! Users who rotate a webhook's secret, with and without an idempotency key, and who finish a
//! rotation.

use std::time::Duration;

use domain::{account::AccountId, id::WebhookId};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Users;
use crate::ledger::{Finished, Key, Rotated};

impl Users {
    /// Rotates a webhook's secret, or finishes a rotation.
    pub(super) async fn rotate(&self, account: &AccountId, webhook: WebhookId) {
        match self.world.dice.between(0, 9) {
            0..=1 => self.finish_rotation(account, webhook).await,
            2..=6 => {
                self.rotate_with_key(account, webhook).await;
                if self.world.dice.permille(400) {
                    self.finish_rotation(account, webhook).await;
                }
            }
            _ => self.rotate_without_key(account, webhook).await,
        }
    }

    async fn rotate_without_key(&self, account: &AccountId, webhook: WebhookId) {
        let body = json!({"overlap_seconds": self.world.dice.pick(&[0, 60, 3600, 86_400])});
        self.call_api(account.as_str(), "POST", &rotation_path(webhook), body).await;
    }

    /// Rotates with an idempotency key. Repeats the request, sometimes at the same time, after an
    /// answer, and after another rotation.
    async fn rotate_with_key(&self, account: &AccountId, webhook: WebhookId) {
        let dice = &self.world.dice;
        let (key, body) = (self.new_key(), json!({"overlap_seconds": dice.pick(&[0, 60, 3600])}));
        for _ in 0..4 {
            let ask = || self.ask_to_rotate(account, webhook, &key, &body);
            let is_rotated = if dice.permille(300) { tokio::join!(ask(), ask()).1 } else { ask().await };
            if is_rotated && !dice.permille(600) {
                break;
            }
            sleep(Duration::from_millis(dice.between(10, 20_000) as u64)).await;
            if dice.permille(300) {
                self.rotate_without_key(account, webhook).await;
            }
        }
    }

    /// Sends one request with the key. Returns whether the secret is rotated.
    async fn ask_to_rotate(&self, account: &AccountId, webhook: WebhookId, key: &Key, body: &Value) -> bool {
        let (began_ms, path) = (self.world.now_ms(), rotation_path(webhook));
        let answer = self.call_api_with_key(account.as_str(), ("POST", &path), Some(key), body.clone()).await;
        let Some(answer) = answer.filter(|answer| answer.status == 200) else { return false };
        self.world.record().ledger.rotated.push(Rotated {
            webhook,
            key: key.name.clone(),
            began_ms,
            answered_ms: self.world.now_ms(),
            replayed: answer.replayed,
            secret: answer.json()["secret"].as_str().expect("the new secret").to_owned(),
            body: answer.body,
        });
        true
    }

    async fn finish_rotation(&self, account: &AccountId, webhook: WebhookId) {
        let began_ms = self.world.now_ms();
        let path = format!("{}/finish", rotation_path(webhook));
        let index = {
            let finished = &mut self.world.record().ledger.finished;
            finished.push(Finished { webhook, began_ms, answered_ms: None });
            finished.len() - 1
        };
        let answer = self.call_api(account.as_str(), "POST", &path, Value::Null).await;
        if answer.is_some_and(|answer| answer.status == 200) {
            let answered_ms = Some(self.world.now_ms());
            self.world.record().ledger.finished[index].answered_ms = answered_ms;
        }
    }
}

fn rotation_path(webhook: WebhookId) -> String {
    format!("/v1/webhooks/{webhook}/rotate-secret")
}
