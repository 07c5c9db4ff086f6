//! `hookline listen` goes on through what happens to the server, its webhook and its token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::listen::{Listener, events, listen, webhooks};
use crate::harness::client::text;
use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::signature::check;
use crate::harness::stack::{Options, Stack};

/// Longer than the first two waits after a failure, so that polls fail more than once.
const SEVERAL_POLLS: Duration = Duration::from_millis(3500);

impl Listener {
    /// Waits until it says `text` on stderr.
    async fn says(&self, text: &str) {
        self.program.error_lines(text, |lines| lines.iter().any(|line| line.contains(text)).then_some(())).await;
    }

    /// How often it has said `text` on stderr.
    async fn said(&self, text: &str) -> usize {
        let count = |lines: &[String]| Some(lines.iter().filter(|line| line.contains(text)).count());
        self.program.error_lines(text, count).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_said_once_and_nothing_is_lost() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let listener = listen(&user, &receiver, &[]).await;
    let mut published = vec![stack.api().publish("user.created").await.id()];
    receiver.wait_for(1).await;
    published.push(stack.api().publish("user.updated").await.id());
    stack.kill_hard().await;
    tokio::time::sleep(SEVERAL_POLLS).await;
    stack.restart_in_place().await;
    published.push(stack.api().publish("user.created").await.id());
    assert_eq!(events(&receiver.wait_for(3).await), published);
    listener.says("Connected again").await;
    assert_eq!([listener.said("The connection is lost").await, listener.said("Connected again").await], [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_webhook_is_replaced_and_the_position_and_the_secret_are_kept() {
    let stack = Stack::start().await;
    let (api, user) = (stack.api(), Hookline::of(&stack));
    for name in [&["--name", "mine"][..], &[]] {
        let receiver = Receiver::answering(200).await;
        let mut listener = listen(&user, &receiver, name).await;
        let mut published = vec![api.publish("user.created").await.id()];
        receiver.wait_for(1).await;
        let deleted = text(&webhooks(&api).await[0]["id"]);
        api.delete(&format!("/v1/webhooks/{deleted}")).await.expect(204);
        published.push(api.publish("user.updated").await.id());
        listener.says("The webhook was deleted").await;
        published.push(api.publish("user.created").await.id());
        let seen = receiver.wait_for(3).await;
        assert_eq!(events(&seen), published);
        check(&seen[2], &listener.secret);
        let all = webhooks(&api).await;
        let [webhook] = all.as_slice() else { panic!("{all:#?}") };
        assert_ne!(text(&webhook["id"]), deleted);
        assert_eq!(webhook["expires_at"].is_null(), !name.is_empty(), "{webhook:#}");

        listener.program.kill().await;
        api.delete(&format!("/v1/webhooks/{}", text(&webhook["id"]))).await.expect(204);
        if !name.is_empty() {
            published.push(api.publish("user.created").await.id());
            let mut next = listen(&user, &receiver, name).await;
            assert_eq!(events(&receiver.wait_for(4).await), published, "between two runs as well");
            assert_eq!((next.said("The webhook of the last run is gone").await, &next.secret), (1, &listener.secret));
            next.program.kill().await;
            api.delete(&format!("/v1/webhooks/{}", text(&webhooks(&api).await[0]["id"]))).await.expect(204);
        }
    }
}

/// Issues a token of the account; returns its id and itself.
async fn issue(stack: &Stack) -> (String, String) {
    let account = stack.account().unwrap_or("default");
    let issued = stack.api().post("/v1/tokens", &json!({ "account": account })).await.expect(201);
    (text(&issued["id"]), text(&issued["token"]))
}

async fn log_in(user: &Hookline, url: &str, token: &str) {
    user.run(&["login", "--url", url, "--token", token]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_said_once_and_a_later_login_is_taken() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let (user, receiver) = (Hookline::alone(), Receiver::answering(200).await);
    let (id, token) = issue(&stack).await;
    log_in(&user, stack.base(), &token).await;
    let listener = listen(&user, &receiver, &["--name", "mine"]).await;
    let given = Hookline::at(stack.base(), &token);
    let mut of_given_token = listen(&given, &receiver, &[]).await;

    stack.api().delete(&format!("/v1/tokens/{id}")).await.expect(204);
    // A process may use a token for 30 s more. A new one asks the table.
    stack.kill_hard().await;
    stack.restart_in_place().await;
    listener.says("The token is not valid any more").await;
    let (status, _, stderr) = of_given_token.program.end().await;
    assert_eq!(status.code(), Some(1), "a token that was given stays the same");
    assert!(stderr.iter().any(|line| line.contains("give another with --token")), "{stderr:#?}");

    // A login to something else changes nothing.
    let other = Receiver::in_turn(vec![Answer::Reply(200, vec![], r#"{"data": []}"#.to_owned())]).await;
    log_in(&user, &other.url(""), "hl_of_another_api").await;
    let event = stack.api().publish("user.created").await.id();
    tokio::time::sleep(SEVERAL_POLLS).await;
    assert_eq!(other.seen().len(), 1, "the login's own request");
    assert!(receiver.seen().is_empty());
    log_in(&user, stack.base(), &issue(&stack).await.1).await;
    assert_eq!(events(&receiver.wait_for(1).await), [event]);
    listener.says("Connected again").await;
    assert_eq!(listener.said("The token is not valid any more").await, 1);
    let named: Vec<_> = webhooks(&stack.api()).await;
    assert_eq!(named.iter().filter(|webhook| webhook["expires_at"].is_null()).count(), 1, "{named:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_webhook_is_waited_for() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(200).await);
    let listener = listen(&Hookline::of(&stack), &receiver, &[]).await;
    let path = format!("/v1/webhooks/{}", text(&webhooks(&api).await[0]["id"]));
    api.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
    listener.says("The webhook is disabled").await;
    let event = api.publish("user.created").await.id();
    api.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
    assert_eq!(events(&receiver.wait_for(1).await), [event]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_in_place_of_hookline_is_an_outage_and_no_webhook_is_registered() {
    let is_away = Arc::new(AtomicBool::new(false));
    let away = Arc::clone(&is_away);
    let server = Receiver::scripted(move |_, request| match request.method.as_str() {
        "GET" if away.load(Ordering::SeqCst) => Answer::Reply(404, vec![], "<html>default backend</html>".to_owned()),
        "GET" => Answer::Reply(200, vec![], r#"{"data": [], "next_cursor": "c", "has_more": false}"#.to_owned()),
        _ => Answer::Reply(201, vec![], webhook().to_string()),
    })
    .await;
    let user = Hookline::at(&server.url(""), "hl_test_token");
    let receiver = Receiver::answering(200).await;
    let listener = listen(&user, &receiver, &[]).await;
    is_away.store(true, Ordering::SeqCst);
    listener.says("The connection is lost").await;
    is_away.store(false, Ordering::SeqCst);
    listener.says("Connected again").await;
    assert_eq!(server.seen().iter().filter(|request| request.method == "POST").count(), 1);
}

/// A webhook as the API shows it when it is registered.
fn webhook() -> Value {
    json!({
        "id": "wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B", "url": null, "events": ["*"], "status": "enabled",
        "disabled_reason": null, "description": null, "created_at": "2025-02-18T10:34:48Z",
        "secret": "your_webhook_secret", "standard_secret": "whsec_eW91cl93ZWJob29rX3NlY3JldA==",
    })
}
