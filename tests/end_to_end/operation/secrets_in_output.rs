//! Secrets, tokens, payloads and URLs are in no line of output at any log level, except the token
//! in the greeting of the local process.

use serde_json::json;

use crate::harness::client::text;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::{Options, Stack};

const SECRET: &str = "a-secret-of-the-users-own";
const ROTATED: &str = "another-secret-of-the-users-own";
const PAYLOAD: &str = "a-payload-of-the-users-own";
const ANSWER: &str = "an-answer-of-the-receivers-own";
/// A part of a URL that is a password, as it is with several chat services.
const PATH: &str = "a-path-of-the-users-own";
const KEY: &str = "an-idempotency-key-of-the-users-own";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_printed_at_the_most_verbose_log_level() {
    let options = Options { log_level: Some("trace"), ..Options::durable() };
    let Some(mut stack) = Stack::with(options.schedule("0s,1s")).await else { return };
    let api = stack.api();
    let failure = Answer::Reply(500, vec![("X-Own", ANSWER.to_owned())], ANSWER.to_owned());
    let receiver = Receiver::in_turn(vec![failure, Answer::Drop, Answer::status(200)]).await;
    let url = receiver.url(&format!("/{PATH}"));
    let webhook =
        api.register_as(&json!({ "url": url, "events": ["*"], "secret": SECRET, "description": PAYLOAD })).await;
    let generated = api.register(&url, &["resource.deleted"]).await.secret;
    let issued = text(&api.post("/v1/tokens", &json!({ "account": "acme" })).await.expect(201)["token"]);
    api.with_token(Some(&issued)).get("/v1/webhooks").await.expect(200);
    let event = json!({ "type": "user.created", "data": { "object": { "marker": PAYLOAD } } });
    let failing = api.with_idempotency_key(KEY).post("/v1/events", &event).await.id();
    api.with_idempotency_key(KEY).post("/v1/events", &json!({ "type": "user.updated" })).await.problem(422);
    receiver.wait_for(2).await;
    let disabled = |webhook: &serde_json::Value| webhook["status"] == "disabled";
    let path = format!("/v1/webhooks/{}", webhook.id);
    api.get_when(&path, disabled).await;
    api.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
    api.post(&format!("{path}/rotate-secret"), &json!({ "secret": ROTATED })).await.expect(200);
    let delivery = text(&api.delivery(&failing, &webhook.id).await["id"]);
    api.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).await.expect(202);
    receiver.wait_for(3).await;
    // Refused requests could be logged, too.
    api.with_token(Some("a-wrong-token-of-somebody")).get("/v1/webhooks").await.problem(401);
    api.post("/v1/webhooks", &json!({ "url": url, "events": [], "secret": SECRET })).await.problem(422);
    let token = stack.token().to_owned();
    let (stdout, stderr) = stack.terminate_and_read().await;

    let greeting = stdout.iter().filter(|line| line.contains(&token)).count();
    assert!(greeting > 0 && stdout.iter().take_while(|line| !line.is_empty()).count() == 2, "{stdout:#?}");
    assert!(stderr.iter().any(|line| line.contains(r#""level":"INFO""#)), "nothing was logged: {stderr:#?}");
    for secret in [SECRET, ROTATED, PAYLOAD, ANSWER, PATH, KEY, "a-wrong-token", &generated, &issued, &token] {
        let found: Vec<_> = stderr.iter().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret} was logged: {found:#?}");
        let printed = stdout.iter().any(|line| line.contains(secret));
        assert_eq!(printed, secret == token, "{secret} on stdout");
    }
}
