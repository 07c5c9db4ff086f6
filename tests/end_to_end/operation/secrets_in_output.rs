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
    // A reused connection that ends without an answer would be replaced within the attempt.
    let headers = vec![("X-Own", ANSWER.to_owned()), ("Connection", "close".to_owned())];
    let failure = Answer::Reply(500, headers, ANSWER.to_owned());
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
    api.patch(&path, &json!({ "status": "enabled", "held": "cancel" })).await.expect(200);
    api.post(&format!("{path}/rotate-secret"), &json!({ "secret": ROTATED })).await.expect(200);
    let keyed = api.with_idempotency_key("rotation").post(&format!("{path}/rotate-secret"), &json!({})).await;
    let derived = text(&keyed.expect(200)["secret"]);
    let delivery = text(&api.delivery(&failing, &webhook.id).await["id"]);
    api.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).await.expect(202);
    receiver.wait_for(3).await;
    // Refused requests could be logged, too.
    api.with_token(Some("a-wrong-token-of-somebody")).get("/v1/webhooks").await.problem(401);
    api.post("/v1/webhooks", &json!({ "url": url, "events": [], "secret": SECRET })).await.problem(422);
    let token = stack.token().to_owned();
    let (stdout, stderr) = stack.terminate_and_read().await;

    let greeting = stdout.iter().filter(|line| line.contains(&token)).count();
    assert!(greeting > 0 && stdout.iter().take_while(|line| !line.is_empty()).count() == 3, "{stdout:#?}");
    assert!(stderr.iter().any(|line| line.contains(r#""level":"INFO""#)), "nothing was logged: {stderr:#?}");
    for secret in [SECRET, ROTATED, PAYLOAD, ANSWER, PATH, KEY, "a-wrong-token", &generated, &derived, &issued, &token]
    {
        let found: Vec<_> = stderr.iter().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret} was logged: {found:#?}");
        let printed = stdout.iter().any(|line| line.contains(secret));
        assert_eq!(printed, secret == token, "{secret} on stdout");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_of_a_webhook_option_is_printed() {
    let options = Options { log_level: Some("trace"), ..Options::durable() };
    let Some(mut stack) = Stack::with(options.schedule("0s")).await else { return };
    let api = stack.api();
    let secrets =
        ["a-header-of-ours", "a-password-of-ours", "a-bearer-of-ours", "a-client-secret-of-ours", "an-access-token"];
    let [header, password, bearer, client_secret, access_token] = secrets;
    let receiver = Receiver::answering(200).await;
    // It gives a token once, and then echoes the request for it in an error.
    let token = format!(r#"{{"access_token":"{access_token}","expires_in":0}}"#);
    let refusal = format!(r#"{{"error":"invalid_client","error_description":"{client_secret} {access_token}"}}"#);
    let answers = vec![Answer::Reply(200, vec![], token), Answer::Reply(400, vec![], refusal)];
    let server = Receiver::in_turn(answers).await;
    let oauth2 = json!({
        "type": "oauth2", "token_url": server.url("/token"), "client_id": "c", "client_secret": client_secret,
    });
    let authentications = [
        json!({ "type": "basic", "username": "ada", "password": password }),
        json!({ "type": "bearer", "token": bearer }),
        oauth2,
    ];
    for auth in &authentications {
        let body = json!({
            "url": receiver.url("/"), "events": ["*"], "auth": auth, "headers": { "X-Key": header },
        });
        api.register_as(&body).await;
    }
    api.publish("user.created").await;
    receiver.wait_for(3).await;
    api.publish("user.created").await;
    receiver.wait_for(5).await;
    let page = api.get_when("/v1/webhooks", |page| page.to_string().contains("failures")).await;
    assert!(!secrets.iter().any(|secret| page.to_string().contains(secret)), "{page:#}");
    // Refused requests could be logged, too.
    let faulty = json!({ "url": "http://", "auth": { "type": "bearer", "token": bearer, "x": 1 }, "headers": { "X Y": header } });
    let refused = api.post("/v1/webhooks", &faulty).await;
    refused.problem(422);
    let (stdout, stderr) = stack.terminate_and_read().await;
    assert!(stderr.iter().any(|line| line.contains("gave no access token")), "{stderr:#?}");
    let credentials = ["YWRhOmEtcGFzc3dvcmQtb2Ytb3Vycw==", "YzphLWNsaWVudC1zZWNyZXQtb2Ytb3Vycw=="];
    for secret in secrets.into_iter().chain(credentials) {
        let found: Vec<_> = stderr.iter().chain(&stdout).filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty() && !refused.text.contains(secret), "{secret} was printed: {found:#?}");
    }
}
