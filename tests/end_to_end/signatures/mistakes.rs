//! The mistakes of receivers, seeded one by one. Each is diagnosed as what it is, with the stored event, and what can be is diagnosed
//! without it, too.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::seen::{Seen, codes};
use crate::harness::client::{Api, Registered, millis, text};
use crate::harness::receiver::Receiver;
use crate::harness::stack::Stack;

const BODY: &str = "x-webhook-signature";
const STANDARD: &str = "webhook-signature";

/// What is published: as its publisher wrote it, which no library does.
const OBJECT: &str = r#"{"name": "Zoë", "price": 12.50, "10": "ten", "tags": ["a/b"]}"#;
/// The same as JSON.stringify and json.dumps write it.
const OBJECT_JS: &str = r#"{"10":"ten","name":"Zoë","price":12.5,"tags":["a/b"]}"#;
const OBJECT_PYTHON: &str = r#"{"name": "Zo\u00eb", "price": 12.5, "10": "ten", "tags": ["a/b"]}"#;

/// A delivery that arrived, with what its receiver may confuse.
struct Scene {
    api: Api,
    /// What the webhook `ours` got.
    seen: Seen,
    ours: Registered,
    theirs: Registered,
    /// What the webhook `theirs` got for the same event.
    seen_by_theirs: Seen,
    /// A delivery of another event to `ours`.
    another: Seen,
    _stack: Stack,
    _receivers: [Receiver; 2],
}

async fn scene() -> Scene {
    let stack = Stack::start().await;
    let api = stack.api();
    let receivers = [Receiver::answering(200).await, Receiver::answering(200).await];
    let ours = api.register(&receivers[0].url("/"), &["user.created"]).await;
    let theirs = json!({ "url": receivers[1].url("/"), "events": ["user.created"], "secret": "your_webhook_secret" });
    let theirs = api.register_as(&theirs).await;
    let publish = async |object: &str| {
        let body = format!(r#"{{"type": "user.created", "data": {{"object": {object}}}}}"#);
        let reply = api.send_text(reqwest::Method::POST, "/v1/events", &body).await;
        reply.expect(202);
        reply.id()
    };
    let (event, other) = (publish(OBJECT).await, publish("{}").await);
    let seen = Seen::of(&receivers[0].wait_for_event(&event, 1).await[0]);
    let another = Seen::of(&receivers[0].wait_for_event(&other, 1).await[0]);
    let seen_by_theirs = Seen::of(&receivers[1].wait_for_event(&event, 1).await[0]);
    for webhook in [&ours, &theirs] {
        api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    }
    Scene { api, seen, ours, theirs, seen_by_theirs, another, _stack: stack, _receivers: receivers }
}

/// One mistake: the request as it is sent to the debugger, and the only right diagnosis for each signature.
struct Mistake {
    name: &'static str,
    seen: Seen,
    body: &'static str,
    standard: &'static str,
    /// Whether it can be proven from what was sent alone.
    alone: bool,
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// The payload with its object in another form, as a library writes all of it.
fn rewritten(scene: &Scene, object: &str, python: bool) -> String {
    let payload: Value = serde_json::from_slice(&scene.seen.body).expect("JSON");
    let (id, at) = (text(&payload["id"]), text(&payload["created_at"]));
    let (colon, comma) = if python { (": ", ", ") } else { (":", ",") };
    format!(
        r#"{{"id"{colon}"{id}"{comma}"type"{colon}"user.created"{comma}"created_at"{colon}"{at}"{comma}"data"{colon}{{"object"{colon}{object}}}{comma}"previous_data"{colon}null}}"#
    )
}

/// Mistakes that change the body.
fn with_the_body(scene: &Scene) -> Vec<Mistake> {
    let body = String::from_utf8(scene.seen.body.clone()).expect("UTF-8");
    let latin1: Vec<u8> = body.chars().map(|letter| u8::try_from(u32::from(letter)).expect("ISO-8859-1")).collect();
    let doubled: String = body.bytes().map(char::from).collect();
    let sorted = r#"{"10": "ten", "name": "Zo\u00eb", "price": 12.5, "tags": ["a/b"]}"#;
    let payload: Value = serde_json::from_str(&body).expect("JSON");
    let flask = format!(
        r#"{{"created_at": {}, "data": {{"object": {sorted}}}, "id": {}, "previous_data": null, "type": "user.created"}}"#,
        payload["created_at"], payload["id"]
    );
    // gzip with stored blocks: no compressor is needed to make it.
    let length = u16::try_from(body.len()).expect("a small body");
    let gzipped = [
        &b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01"[..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        body.as_bytes(),
        &[0; 8],
    ]
    .concat();
    let cases: [(&str, Vec<u8>, &str, bool); 15] = [
        ("Express parses, JSON.stringify writes", rewritten(scene, OBJECT_JS, false).into(), "json_rewritten", false),
        ("Flask parses, json.dumps writes", rewritten(scene, OBJECT_PYTHON, true).into(), "json_rewritten", false),
        ("Flask's jsonify sorts", flask.into(), "keys_reordered", false),
        ("non-ASCII as escapes", body.replace('ë', "\\u00eb").into(), "escapes_changed", true),
        ("an editor's line break", format!("{body}\n").into(), "trailing_newline_added", true),
        ("white space of a template", format!("  {body} ").into(), "white_space_changed", true),
        ("a byte order mark", format!("\u{feff}{body}").into(), "bom_added", true),
        ("read as latin-1, written as UTF-8", doubled.into(), "charset_changed", true),
        ("written as latin-1", latin1, "charset_changed", true),
        ("non-ASCII lost", body.replace('ë', "?").into(), "charset_changed", false),
        ("API Gateway's base64", BASE64.encode(&body).into(), "body_base64", true),
        ("stringified twice", serde_json::to_string(&body).expect("JSON").into(), "json_quoted", true),
        ("still compressed", gzipped, "body_compressed", true),
        ("cut by a limit", body[..60].into(), "body_truncated", false),
        ("read before", vec![], "body_truncated", false),
    ];
    let mistake = |(name, body, code, alone): (_, Vec<u8>, _, _)| Mistake {
        name,
        seen: scene.seen.clone().body(body),
        body: code,
        standard: code,
        alone,
    };
    let mut all: Vec<_> = cases.into_iter().map(mistake).collect();
    let other = scene.seen.clone().body(scene.another.body.clone());
    all.push(Mistake {
        name: "a mixed-up body",
        seen: other,
        body: "body_of_another_event",
        standard: "body_of_another_event",
        alone: false,
    });
    let changed = scene.seen.clone().body(body.replace("ten", "TEN"));
    all.push(Mistake {
        name: "a changed value",
        seen: changed,
        body: "body_changed",
        standard: "body_changed",
        alone: false,
    });
    all
}

/// Mistakes with the signatures themselves. The other signature holds.
fn with_the_signatures(scene: &Scene) -> Vec<Mistake> {
    let (hex, entry) = (scene.seen.header(BODY), scene.seen.header(STANDARD));
    let in_hex = hex::encode(BASE64.decode(&entry[3..]).expect("base64"));
    let in_base64 = BASE64.encode(hex::decode(&hex).expect("hex"));
    let cases = [
        ("lower-cased by a proxy", STANDARD, json!(entry.to_lowercase()), "case_changed"),
        ("upper-cased", BODY, json!(hex.to_uppercase()), "case_changed"),
        ("without padding", STANDARD, json!(entry.trim_end_matches('=')), "base64_without_padding"),
        ("hex in place of base64", STANDARD, json!(format!("v1,{in_hex}")), "hex_instead_of_base64"),
        ("base64 in place of hex", BODY, json!(in_base64), "base64_instead_of_hex"),
        ("GitHub's prefix", BODY, json!(format!("sha256={hex}")), "format_changed"),
        ("without v1", STANDARD, json!(entry[3..]), "format_changed"),
        ("sent twice", BODY, json!([hex, hex]), "header_repeated"),
        ("the wrong header", BODY, json!(entry), "wrong_header"),
    ];
    let mistake = |(name, header, value, code): (_, &str, Value, _)| {
        let (body, standard) = if header == BODY { (code, "valid") } else { ("valid", code) };
        Mistake { name, seen: scene.seen.clone().with(header, value), body, standard, alone: true }
    };
    cases.into_iter().map(mistake).collect()
}

/// Mistakes with id, time and clock, which `X-Webhook-Signature` does not cover.
fn with_id_and_time(scene: &Scene) -> Vec<Mistake> {
    let seen = || scene.seen.clone();
    let (id, timestamp) = (seen().header("webhook-id"), seen().header("webhook-timestamp"));
    let later = |seconds: i64| {
        let at = timestamp.parse::<i64>().expect("a number") + seconds;
        let at = time::OffsetDateTime::from_unix_timestamp(at).expect("a time");
        at.format(&time::format_description::well_known::Rfc3339).expect("a time")
    };
    let (time, changed, late) = ("webhook-timestamp", "timestamp_changed", "timestamp_out_of_tolerance");
    let cases = [
        ("nothing is wrong", seen(), "valid"),
        ("no id", seen().without("webhook-id"), "header_missing"),
        ("the id in lower case", seen().with("webhook-id", id.to_lowercase()), "id_changed"),
        ("milliseconds", seen().with(time, format!("{timestamp}000")), changed),
        ("an old timestamp", seen().with(time, later(-90)), changed),
        ("a clock that is 10 minutes fast", seen().given("received_at", later(600)), late),
        ("a clock that is 10 minutes slow", seen().given("received_at", later(-600)), late),
    ];
    let mistake = |(name, seen, standard)| Mistake { name, seen, body: "valid", standard, alone: true };
    cases.into_iter().map(mistake).collect()
}

/// Mistakes with the secret, which show in both signatures.
fn with_the_secret(scene: &Scene) -> Vec<Mistake> {
    let ours = &scene.ours.secret;
    let bare = ours.trim_start_matches("whsec_").to_owned();
    let (theirs, other) = (scene.theirs.id.clone(), "secret_of_another_webhook");
    let cases = [
        ("the wrong secret", "secret", "some-secret-of-nobody".to_owned(), "wrong_secret", false),
        ("another webhook's secret", "secret", "your_webhook_secret".to_owned(), other, false),
        ("another webhook's request", "webhook_id", theirs, other, false),
        ("a secret with a line break", "secret", format!("{ours}\n"), "secret_with_white_space", true),
        ("a secret without whsec_", "secret", bare, "secret_without_prefix", true),
        ("a secret in quotes", "secret", format!("\"{ours}\""), "secret_quoted", true),
    ];
    let mistake = |(name, member, value, code, alone): (_, _, String, _, _)| Mistake {
        name,
        seen: scene.seen.clone().given(member, value),
        body: code,
        standard: code,
        alone,
    };
    cases.into_iter().map(mistake).collect()
}

/// Every mistake that shows in a request.
fn mistakes(scene: &Scene) -> Vec<Mistake> {
    let all = [with_the_body(scene), with_the_signatures(scene), with_id_and_time(scene), with_the_secret(scene)];
    let all: Vec<_> = all.into_iter().flatten().collect();
    assert!(all.len() >= 25);
    all
}

/// Mistakes of the receiver's own code, which show in what it computed and not in the request.
fn of_the_code(scene: &Scene) -> Vec<(&'static str, String, &'static str)> {
    let (seen, secret) = (&scene.seen, scene.ours.secret.as_bytes());
    let key = BASE64.decode(&secret[6..]).expect("base64");
    let (id, timestamp) = (seen.header("webhook-id"), seen.header("webhook-timestamp"));
    let content = [format!("{id}.{timestamp}.").as_bytes(), &seen.body].concat();
    let js = rewritten(scene, OBJECT_JS, false);
    let python = rewritten(scene, OBJECT_PYTHON, true);
    let (hex, base64) = (|mac: Vec<u8>| hex::encode(mac), |mac: Vec<u8>| BASE64.encode(mac));
    let without_id = [format!("{timestamp}.").as_bytes(), &seen.body].concat();
    let in_content = |body: &str| [format!("{id}.{timestamp}.").as_bytes(), body.as_bytes()].concat();
    vec![
        ("nothing is wrong", hex(hmac(secret, &seen.body)), "valid"),
        ("nothing is wrong with the other", base64(hmac(&key, &content)), "valid"),
        ("whsec_ is not decoded", base64(hmac(secret, &content)), "secret_not_decoded"),
        ("only whsec_ is removed", base64(hmac(&secret[6..], &content)), "secret_not_decoded"),
        ("decoded for the body's signature", hex(hmac(&key, &seen.body)), "secret_decoded"),
        ("hex for base64", hex(hmac(&key, &content)), "hex_instead_of_base64"),
        ("base64 for hex", base64(hmac(secret, &seen.body)), "base64_instead_of_hex"),
        ("no padding", STANDARD_NO_PAD.encode(hmac(&key, &content)), "base64_without_padding"),
        ("upper-case hex", hex(hmac(secret, &seen.body)).to_uppercase(), "case_changed"),
        ("the parsed body of Express", hex(hmac(secret, js.as_bytes())), "json_rewritten"),
        ("the parsed body of Flask", hex(hmac(secret, python.as_bytes())), "json_rewritten"),
        ("the parsed body of Express, with id and time", base64(hmac(&key, &in_content(&js))), "json_rewritten"),
        ("an object as text", hex(hmac(secret, b"[object Object]")), "body_not_raw"),
        ("an empty body", hex(hmac(secret, b"")), "body_truncated"),
        ("the body alone", base64(hmac(&key, &seen.body)), "wrong_content"),
        ("no id", base64(hmac(&key, &without_id)), "wrong_content"),
        ("no key", hex(Sha256::digest(&seen.body).to_vec()), "wrong_algorithm"),
        ("another webhook's secret", hex(hmac(b"your_webhook_secret", &seen.body)), "secret_of_another_webhook"),
        ("a secret with a line break", hex(hmac(&[secret, b"\n"].concat(), &seen.body)), "secret_with_white_space"),
        ("nonsense", "0".repeat(64), "unexplained"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_is_diagnosed_as_what_it_is() {
    let scene = scene().await;
    for Mistake { name, seen, body, standard, .. } in &mistakes(&scene) {
        let answer = seen.debug(&scene.api).await;
        let first = |header| codes(&answer, header).first().cloned().unwrap_or_default();
        assert_eq!((first(BODY).as_str(), first(STANDARD).as_str()), (*body, *standard), "{name}: {answer:#}");
        assert_eq!(answer["valid"], *body == "valid" && *standard == "valid", "{name}: {answer:#}");
        assert!(!answer.to_string().contains("unexplained"), "{name}: {answer:#}");
    }
}

/// The debugger of an account that has neither the event nor the webhook, with the receiver's secret: what was sent alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_proven_is_diagnosed_without_the_event() {
    let scene = scene().await;
    let stranger = scene.api.with_account("stranger");
    let mut count = 0;
    for Mistake { name, seen, body, standard, alone } in mistakes(&scene) {
        if seen.given.contains_key("webhook_id") {
            continue;
        }
        let secret = seen.given.get("secret").cloned().unwrap_or_else(|| scene.ours.secret.as_str().into());
        let answer = seen.given("secret", secret).debug(&stranger).await;
        // What cannot be proven is said to be unexplained, and nothing else.
        let expected = |code: &'static str| if alone || code == "valid" { code } else { "unexplained" };
        let first = |header| codes(&answer, header).first().cloned().unwrap_or_default();
        assert_eq!(
            (first(BODY).as_str(), first(STANDARD).as_str()),
            (expected(body), expected(standard)),
            "{name}: {answer:#}"
        );
        count += 1;
    }
    assert!(count >= 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_receivers_code_computed_is_explained() {
    let scene = scene().await;
    for (name, computed, code) in of_the_code(&scene) {
        for given in [("webhook_id", scene.ours.id.as_str()), ("secret", scene.ours.secret.as_str())] {
            let seen = scene.seen.clone().given("computed", computed.as_str()).given(given.0, given.1);
            let answer = seen.debug(&scene.api).await;
            assert_eq!(answer["valid"], true, "{name}: the request is right: {answer:#}");
            assert_eq!(codes(&answer, "computed"), [code], "{name}: {answer:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_secret_is_named() {
    let scene = scene().await;
    let path = format!("/v1/webhooks/{}/rotate-secret", scene.ours.id);
    let new = text(&scene.api.post(&path, &json!({})).await.expect(200)["secret"]);
    // The request of before the rotation, with the new secret, with the old one, and with none.
    for (secret, code) in [(Some(&new), "previous_secret"), (Some(&scene.ours.secret), "valid"), (None, "valid")] {
        let seen = secret.iter().fold(scene.seen.clone(), |seen, secret| seen.given("secret", secret.as_str()));
        let answer = seen.debug(&scene.api).await;
        assert_eq!((codes(&answer, BODY), codes(&answer, STANDARD)), (vec![code.to_owned()], vec![code.to_owned()]));
    }
    let answer = scene.seen_by_theirs.clone().given("webhook_id", scene.ours.id.as_str()).debug(&scene.api).await;
    assert_eq!(codes(&answer, BODY), ["secret_of_another_webhook"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_in_the_webhooks_own_header_is_judged() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(200).await);
    for (name, content, value) in [
        ("X-Hub-Signature-256", "{body}", "sha256={hex}"),
        ("Stripe-Signature", "{timestamp}.{body}", "t={timestamp},v1={hex}"),
        ("X-Own", "{id}:{timestamp}:{body}", "{base64}"),
    ] {
        let header = json!({ "name": name, "content": content, "value": value });
        let body = json!({ "url": receiver.url("/"), "events": ["user.created"], "signature_header": header });
        let webhook = api.register_as(&body).await;
        let event = api.publish("user.created").await.id();
        let seen = Seen::of(&receiver.wait_for_event(&event, 1).await[0]);
        let own = name.to_lowercase();
        let value = seen.header(&own);
        for (seen, code) in [
            (seen.clone(), "valid"),
            (seen.clone().with(&own, value.to_uppercase()), "case_changed"),
            (seen.clone().with(&own, format!(" {value}")), "format_changed"),
            (seen.clone().body([&seen.body[..], b"\r\n"].concat()), "trailing_newline_added"),
            (seen.clone().with(&own, "t=1,v1=ab"), "unexplained"),
        ] {
            let answer = seen.debug(&api).await;
            assert_eq!(codes(&answer, &own), [code], "{name}: {answer:#}");
            assert_eq!(answer["valid"], code == "valid", "{name}: {answer:#}");
        }
        api.delete(&format!("/v1/webhooks/{}", webhook.id)).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_age_of_a_signature_is_judged_by_the_recorded_attempt() {
    let scene = scene().await;
    let event = scene.seen.header("webhook-id");
    let attempt = &scene.api.delivery(&event, &scene.ours.id).await["attempts"][0];
    let began_s = millis(&attempt["started_at"]) / 1000;
    // A request that somebody signs again later, with the secret: it is authentic, but no attempt was made then.
    let forged_s = began_s + 1000;
    let key = BASE64.decode(&scene.ours.secret[6..]).expect("base64");
    let content = [format!("{event}.{forged_s}.").as_bytes(), &scene.seen.body].concat();
    let forged = scene.seen.clone().with("webhook-timestamp", forged_s.to_string());
    let forged = forged.with(STANDARD, format!("v1,{}", BASE64.encode(hmac(&key, &content))));
    let answer = forged.debug(&scene.api).await;
    assert_eq!(
        (codes(&answer, BODY), codes(&answer, STANDARD)),
        (vec!["valid".to_owned()], vec!["timestamp_out_of_tolerance".to_owned()])
    );
}
