//! People who open the portal: they begin sessions with links, see webhooks, and end their sessions.

use std::time::Duration;

use domain::{id::WebhookId, time::Timestamp};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{ACCOUNTS, Answer, Users};
use crate::ledger::{Exchange, Sight};

/// Links that are made and used at the same time.
const LINKS: i64 = 2;

impl Users {
    /// Makes links and uses them.
    pub(crate) async fn use_portal(&self) {
        join_all((0..LINKS).map(|_| self.use_link())).await;
    }

    /// Makes a link, which several people may open.
    async fn use_link(&self) {
        let dice = &self.world.dice;
        let webhook = self.pick_webhook().filter(|(account, _)| dice.permille(500) && account.as_str() == ACCOUNTS[0]);
        let webhook = webhook.map(|(_, webhook)| webhook);
        let body = json!({"webhook_id": webhook, "session_seconds": dice.pick(&[20, 60])});
        let Some(answer) = self.call_api(ACCOUNTS[0], "POST", "/v1/portal-links", body).await else { return };
        if answer.status != 201 {
            return;
        }
        let link = answer.json();
        let code = link["url"].as_str().and_then(|url| url.split_once("#code=")).expect("a code").1;
        let until_ms = time_ms(&link["expires_at"]);
        join_all((0..dice.between(1, 3)).map(|_| self.open(code, until_ms, webhook))).await;
    }

    /// Opens a link that expires at `expires_ms`: soon, or about when it expires.
    async fn open(&self, code: &str, expires_ms: i64, webhook: Option<WebhookId>) {
        let dice = &self.world.dice;
        let left_ms = expires_ms - self.world.now_ms();
        let pause_ms = if dice.permille(700) { dice.between(0, 2_000) } else { left_ms + dice.between(-6_000, 6_000) };
        sleep(Duration::from_millis(pause_ms.max(0) as u64)).await;
        let began_ms = self.world.now_ms();
        let answer = self.call_api("", "POST", "/v1/portal-sessions", json!({"code": code})).await;
        let session = answer.filter(|answer| answer.status == 201).map(|answer| answer.json());
        self.world.record().ledger.exchanges.push(Exchange {
            code: code.to_owned(),
            until_ms: expires_ms,
            began_ms,
            answered_ms: self.world.now_ms(),
            has_begun: session.is_some(),
        });
        if let Some(session) = session {
            let token = session["token"].as_str().expect("a token");
            self.use_session(token, webhook, time_ms(&session["expires_at"])).await;
        }
    }

    /// Lists the account's webhooks until after the end of a session, which some people end themselves.
    async fn use_session(&self, token: &str, webhook: Option<WebhookId>, until_ms: i64) {
        let dice = &self.world.dice;
        let mut ended_ms = None;
        while self.world.now_ms() < until_ms {
            self.look(token, webhook, (until_ms, ended_ms)).await;
            if ended_ms.is_none() && dice.permille(300) {
                let answer = self.call_api(token, "DELETE", "/v1/portal-sessions", Value::Null).await;
                // Without an answer, nobody knows whether it is over.
                let Some(Answer { status: 204, .. }) = answer else { return };
                ended_ms = Some(self.world.now_ms());
            }
            let pause_ms = if dice.permille(300) { dice.between(0, 200) } else { dice.between(5_000, 30_000) };
            sleep(Duration::from_millis(pause_ms as u64)).await;
        }
        // Late enough for every clock.
        let tolerance_ms = 2 * self.world.plan.skew_ms + 2_000;
        let pause_ms = (until_ms + tolerance_ms - self.world.now_ms()).max(0);
        sleep(Duration::from_millis(pause_ms as u64)).await;
        self.look(token, webhook, (until_ms, ended_ms)).await;
    }

    async fn look(&self, token: &str, bound_to: Option<WebhookId>, (until_ms, ended_ms): (i64, Option<i64>)) {
        let began_ms = self.world.now_ms();
        let Some(answer) = self.call_api(token, "GET", "/v1/webhooks?limit=100", Value::Null).await else { return };
        let webhooks = answer.json();
        let webhooks = webhooks["data"].as_array().into_iter().flatten();
        self.world.record().ledger.sights.push(Sight {
            began_ms,
            answered_ms: self.world.now_ms(),
            until_ms,
            ended_ms,
            bound_to,
            status: answer.status,
            webhooks: webhooks.filter_map(|webhook| webhook["id"].as_str()?.parse().ok()).collect(),
        });
    }
}

fn time_ms(time: &Value) -> i64 {
    let time = Timestamp::parse_rfc3339(time.as_str().expect("a text")).expect("a time");
    time.unix_ms()
}
