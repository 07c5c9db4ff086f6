//! Who may debug what: scopes, accounts, and what no answer and no log line shows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::seen::{Seen, codes};
use crate::harness::client::{Api, text};
use crate::harness::receiver::Receiver;
use crate::harness::stack::{Options, Stack};

const UNUSED_WEBHOOK: &str = "wh_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const UNUSED_EVENT: &str = "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn token(platform: &Api, account: &str, scopes: &[&str]) -> Api {
    let issued = platform.post("/v1/tokens", &json!({ "account": account, "scopes": scopes })).await.expect(201);
    Api::new(platform.base(), Some(&text(&issued["token"])), None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_needs_the_scope_manage() {
    let stack = Stack::start().await;
    let platform = stack.api();
    let body = json!({ "headers": {}, "body": "" });
    let post = async |api: &Api| api.post("/v1/signatures/debug", &body).await;
    post(&token(&platform, "acme", &["manage"]).await).await.expect(200);
    post(&token(&platform, "acme", &["publish"]).await).await.problem(403);
    post(&platform.with_token(None)).await.problem(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_account_has_does_not_exist() {
    let stack = Stack::start().await;
    let platform = stack.api();
    let acme = token(&platform, "acme", &["manage", "publish"]).await;
    let rival = token(&platform, "rival", &["manage", "publish"]).await;
    let receiver = Receiver::answering(200).await;
    let webhook = acme.register(&receiver.url("/"), &["*"]).await;
    let own = rival.register(&receiver.url("/rival"), &["resource.deleted"]).await;
    let event = acme.publish("user.created").await.id();
    let seen = Seen::of(&receiver.wait_for_event(&event, 1).await[0]);
    assert_eq!(seen.debug(&acme).await["valid"], true);

    // The event by its header and by its body, with the right signatures and with a changed body.
    let invented = |seen: &Seen| {
        let body = String::from_utf8(seen.body.clone()).expect("UTF-8").replace(&event, UNUSED_EVENT);
        seen.clone().with("webhook-id", UNUSED_EVENT).body(body)
    };
    let shorter = seen.clone().body(seen.body[..40].to_vec());
    for seen in [
        &seen,
        &shorter,
        &seen.clone().given("webhook_id", own.id.as_str()),
        &seen.clone().given("secret", own.secret.as_str()),
    ] {
        let (answer, other) = (seen.ask(&rival).await, invented(seen).ask(&rival).await);
        answer.expect(200);
        assert_eq!(answer.text, other.text, "another account's event shows");
        assert_eq!(codes(&answer.json(), "x-webhook-signature"), ["unexplained"]);
    }
    // The rival has the secret, so the signatures hold, but nothing is known of the event.
    let shown = shorter.clone().given("secret", webhook.secret.as_str()).debug(&rival).await;
    assert_eq!(codes(&shown, "webhook-signature"), ["unexplained"], "{shown:#}");
    let ask = async |id: &str| seen.clone().given("webhook_id", id).ask(&rival).await;
    let (theirs, unused) = (ask(&webhook.id).await, ask(UNUSED_WEBHOOK).await);
    theirs.problem(404);
    assert_eq!(theirs.text, unused.text);
    assert_eq!(ask("no id").await.text, unused.text);
}

/// Every text that would let somebody sign: secrets, and the signatures of what was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_and_no_log_line_shows_a_secret_or_a_signature() {
    const GIVEN: &str = "a-secret-that-was-given";
    let options = Options { log_level: Some("trace"), ..Options::default() };
    let Some(mut stack) = Stack::with(options).await else { return };
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhooks = [
        api.register(&receiver.url("/"), &["*"]).await,
        api.register(&receiver.url("/other"), &["user.created"]).await,
    ];
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 2).await;
    let seen = Seen::of(seen.iter().find(|request| request.path == "/").expect("the first webhook's"));
    let rotated = api.post(&format!("/v1/webhooks/{}/rotate-secret", webhooks[0].id), &json!({})).await.expect(200);
    let signatures = [seen.header("x-webhook-signature"), seen.header("webhook-signature")[3..].to_owned()];
    let changed = |header: &str, value: &str| seen.clone().with(header, value);
    let asked = [
        seen.clone(),
        seen.clone().body("{}").given("secret", GIVEN),
        seen.clone().given("secret", webhooks[1].secret.as_str()),
        seen.clone().given("webhook_id", webhooks[1].id.as_str()).given("computed", "0"),
        changed("x-webhook-signature", &signatures[0].to_uppercase()),
        changed("webhook-signature", &format!("v1,{}", signatures[1].to_lowercase())),
        changed("webhook-signature", &signatures[1][..20]),
        changed("webhook-timestamp", "1").without("x-webhook-signature"),
    ];
    let key = |secret: &str| hex::encode(BASE64.decode(&secret[6..]).expect("base64"));
    let mut hidden: Vec<String> = vec![GIVEN.to_owned()];
    for secret in [&webhooks[0].secret, &webhooks[1].secret, &text(&rotated["secret"])] {
        hidden.extend([secret.clone(), secret[6..].to_owned(), key(secret)]);
    }
    for seen in &asked {
        let answer = seen.ask(&api).await;
        answer.expect(200);
        for hidden in hidden.iter().chain(&signatures) {
            assert!(!answer.text.contains(hidden.as_str()), "{hidden}: {}", answer.text);
        }
    }
    // Refused requests could be logged, too.
    let faulty = json!({ "headers": { "x-webhook-signature": 7 }, "body": "", "secret": GIVEN, "typo": GIVEN });
    let refused = api.post("/v1/signatures/debug", &faulty).await;
    assert_eq!(refused.faults(), ["/headers/x-webhook-signature", "/typo"]);
    let (stdout, stderr) = stack.terminate_and_read().await;
    assert!(stderr.iter().any(|line| line.contains("signatures debugged")), "{stderr:#?}");
    for hidden in hidden.iter().chain(&signatures) {
        let found: Vec<_> = stderr.iter().chain(&stdout).filter(|line| line.contains(hidden.as_str())).collect();
        assert!(found.is_empty() && !refused.text.contains(hidden.as_str()), "{hidden} was printed: {found:#?}");
    }
}

/// An answer says nothing of signatures that a caller could not check himself: a part of one is not confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_signature_is_not_confirmed() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(200).await);
    api.register(&receiver.url("/"), &["*"]).await;
    let event = api.publish("user.created").await.id();
    let seen = Seen::of(&receiver.wait_for_event(&event, 1).await[0]);
    let hex = seen.header("x-webhook-signature");
    let last = if hex.ends_with('0') { "1" } else { "0" };
    let mut answers: Vec<Value> = vec![];
    for value in [hex[..63].to_owned(), hex[..32].to_owned(), "0".repeat(32), format!("{}{last}", &hex[..63])] {
        answers.push(seen.clone().with("x-webhook-signature", value).debug(&api).await);
    }
    assert!(answers.iter().all(|answer| codes(answer, "x-webhook-signature") == ["unexplained"]), "{answers:#?}");
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}
