//! A user who polls a webhook, and keeps the cursor. The user's program may die after it has received a page and before it
//! has kept the cursor.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::account::AccountId;
use domain::id::WebhookId;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{ACCOUNTS, Answer, Users, filters};
use crate::ledger::{PolledRequest, PolledWebhook};

/// Pages whose cursor is not kept, per thousand.
const CRASHES: u32 = 200;
/// A pause after which everything that was stored is settled, whatever the clocks.
const SETTLED_AFTER: Duration = Duration::from_secs(25);

/// The program that polls.
pub(crate) struct Poller {
    account: AccountId,
    webhook: WebhookId,
    cursor: Option<String>,
}

impl Users {
    /// Registers a webhook that is polled, in the seeds that have one. Sometimes begins with what appears from now on.
    pub(super) async fn register_poller(&self) {
        let dice = &self.world.dice;
        if !dice.permille(self.world.plan.polls) {
            return;
        }
        let mut body = json!({"delivery": "poll", "events": self.pick_subscriptions()});
        if dice.permille(250) {
            body["filter"] = filters::draw(dice);
        }
        let registered = self.call_api_until_answered(ACCOUNTS[0], "POST", "/v1/webhooks", body).await.json();
        let webhook = registered["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let account: AccountId = ACCOUNTS[0].parse().expect("a name");
        let mut poller = Poller { account, webhook, cursor: None };
        let mut from_ms = None;
        if dice.permille(500) {
            let path = format!("/v1/webhooks/{webhook}/poll?from=now");
            let page = self.call_api_until_answered(ACCOUNTS[0], "GET", &path, Value::Null).await.json();
            assert_eq!(page["data"], json!([]), "what appears later is not there yet");
            poller.cursor = page["next_cursor"].as_str().map(str::to_owned);
            from_ms = Some(self.world.now_ms());
        }
        let begun = PolledWebhook { account: poller.account.clone(), webhook, from_ms, received: vec![] };
        self.world.record().ledger.polled = Some(begun);
        *self.poller.lock().await = Some(poller);
    }

    /// Polls a few times while others publish, unless the program polls already. The publishers' clocks differ, so events appear
    /// under ids that are older than those of events that were read before.
    pub(super) async fn poll(&self) {
        let Ok(mut poller) = self.poller.try_lock() else { return };
        let Some(poller) = poller.as_mut() else { return };
        let account = ACCOUNTS[0];
        let publish = async || {
            for _ in 0..2 {
                self.publish(account, None, &self.new_event()).await;
            }
        };
        let mut poll = async || {
            for _ in 0..self.world.dice.between(3, 5) {
                let path = self.poll_path(poller);
                if let Some(answer) = self.call_api(account, "GET", &path, Value::Null).await {
                    self.receive(poller, &answer);
                }
                let pause_ms = self.world.dice.between(0, *self.world.dice.pick(&[20, 2_000]));
                sleep(Duration::from_millis(pause_ms as u64)).await;
            }
        };
        tokio::join!(publish(), publish(), poll());
    }

    /// Polls until everything is read.
    pub(crate) async fn finish_polls(&self) {
        let mut poller = self.poller.lock().await;
        let Some(poller) = poller.as_mut() else { return };
        for pause in [SETTLED_AFTER, SETTLED_AFTER] {
            sleep(pause).await;
            loop {
                let path = self.poll_path(poller);
                let account = poller.account.clone();
                let answer = self.call_api_until_answered(account.as_str(), "GET", &path, Value::Null).await;
                if !self.receive(poller, &answer) {
                    break;
                }
            }
        }
    }

    fn poll_path(&self, poller: &Poller) -> String {
        let limit = self.world.dice.pick(&[1, 3, 20, 100]);
        let cursor = poller.cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        format!("/v1/webhooks/{}/poll?limit={limit}{cursor}", poller.webhook)
    }

    /// Receives a page and keeps its cursor, unless the program dies in between. Returns whether there is more.
    fn receive(&self, poller: &mut Poller, answer: &Answer) -> bool {
        if answer.status != 200 {
            return true;
        }
        let page = answer.json();
        let requests = page["data"].as_array().expect("a page").iter().map(|request| PolledRequest {
            headers: request["headers"].as_object().expect("headers").iter().map(text).collect::<BTreeMap<_, _>>(),
            body: request["body"].as_str().expect("a body").to_owned(),
        });
        let requests: Vec<_> = requests.collect();
        self.world.record().ledger.polled.as_mut().expect("it is registered").received.extend(requests);
        if self.world.injects_faults() && self.world.dice.permille(CRASHES) {
            return true;
        }
        poller.cursor = page["next_cursor"].as_str().map(str::to_owned);
        page["has_more"] == true
    }
}

fn text((name, value): (&String, &Value)) -> (String, String) {
    (name.clone(), value.as_str().expect("a header is a text").to_owned())
}
