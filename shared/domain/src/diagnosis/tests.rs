//! The debugger on requests that were sent alone, and beside a stored event.

use super::*;
use crate::{
    delivery::{Attempt, request},
    event::{Event, NewEvent},
    id::{EventId, WebhookId},
    secret::Secret,
    signature::{body_hmac, standard},
    time::Timestamp,
    webhook::{Rotation, Webhook, fixtures::registered_at},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::value::RawValue;
use std::time::Duration;

const PLAIN: &str = "your_webhook_secret";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const OTHER: &str = "another-secret-of-mine";
const SIGNED_AT_S: i64 = 1_739_874_900;
const BODY: &str = r#"{"id":"evt_1","type":"a.b"}"#;

const BODY_HMAC: &str = "x-webhook-signature";
const STANDARD: &str = "webhook-signature";
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";

fn secret(text: &str) -> Secret {
    Secret::parse(text).expect("a secret")
}

/// A request by its headers and its body.
#[derive(Clone)]
struct Sent {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    at: Option<Timestamp>,
    computed: Option<String>,
}

impl Sent {
    /// A request that was signed with a secret.
    fn signed(by: &str) -> Self {
        let by = secret(by);
        let headers = [
            (BODY_HMAC, body_hmac(&by, BODY.as_bytes())),
            (STANDARD, standard([&by], "evt_1", SIGNED_AT_S, BODY.as_bytes())),
            (ID, "evt_1".to_owned()),
            (TIMESTAMP, SIGNED_AT_S.to_string()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
        Self { headers, body: BODY.into(), at: None, computed: None }
    }

    /// A delivery as Hookline sends it.
    fn delivery(event: &Event, webhook: &Webhook, at: Timestamp) -> Self {
        let headers = request::headers(event, webhook, 1, at);
        let text = |value: &http::HeaderValue| value.to_str().expect("ASCII").to_owned();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Self { headers, body: event.payload.to_vec(), at: None, computed: None }
    }

    fn value(&self, name: &str) -> &str {
        &self.headers.iter().find(|(other, _)| other == name).expect(name).1
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    fn computed(self, computed: impl Into<String>) -> Self {
        Self { computed: Some(computed.into()), ..self }
    }

    fn diagnose(self, evidence: &Evidence) -> Diagnosis {
        let headers = Headers::new(self.headers).expect("headers");
        diagnose(&Received { headers, body: self.body, at: self.at, computed: self.computed }, evidence)
    }
}

fn given(secrets: &[&str]) -> Evidence {
    let given = secrets.iter().map(|text| GivenSecret::parse(text).expect("a secret")).collect();
    Evidence { given, ..Evidence::default() }
}

fn codes<'a>(found: &'a Diagnosis, header: &str) -> Vec<&'a str> {
    let of_header = found.findings.iter().filter(|finding| finding.header == header);
    of_header.map(|finding| finding.code.as_str()).collect()
}

/// Checks the codes for both signatures.
#[track_caller]
fn expect(sent: Sent, evidence: &Evidence, body: &[&str], standard: &[&str]) {
    let found = sent.diagnose(evidence);
    assert_eq!((codes(&found, BODY_HMAC), codes(&found, STANDARD)), (body.to_vec(), standard.to_vec()), "{found:#?}");
    let holds = |codes: &[&str]| codes.is_empty() || codes.contains(&"valid");
    assert_eq!(found.valid, holds(body) && holds(standard), "{found:#?}");
}

#[test]
fn right_signatures_hold_with_one_of_the_secrets() {
    for text in [PLAIN, WHSEC] {
        expect(Sent::signed(text), &given(&[text]), &["valid"], &["valid"]);
        expect(Sent::signed(text), &given(&[OTHER, text]), &["valid"], &["valid"]);
        let found = Sent::signed(text).diagnose(&given(&[OTHER, text]));
        assert_eq!(found.findings[0].detail, "It was made with secret 2.");
    }
    // During a rotation, one header carries several signatures.
    let both = standard([&secret(PLAIN), &secret(WHSEC)], "evt_1", SIGNED_AT_S, BODY.as_bytes());
    expect(Sent::signed(PLAIN).with(STANDARD, &both), &given(&[WHSEC]), &["unexplained"], &["unexplained", "valid"]);
}

#[test]
fn changes_of_the_body_are_named() {
    for (body, code) in [
        (format!("{BODY}\n"), "trailing_newline_added"),
        (r#"{ "id": "evt_1", "type": "a.b" }"#.to_owned(), "json_rewritten"),
        (BASE64.encode(BODY), "body_base64"),
        (BODY.replace("a.b", "a.c"), "unexplained"),
    ] {
        expect(Sent::signed(PLAIN).body(body), &given(&[PLAIN]), &[code], &[code]);
    }
}

#[test]
fn mistakes_with_the_secret_are_named() {
    let plain_in_base64 = format!("whsec_{}", BASE64.encode("a_secret_of_24_characters"));
    // `standard_secret` is right for one signature, and not for the other.
    expect(Sent::signed("a_secret_of_24_characters"), &given(&[&plain_in_base64]), &["secret_decoded"], &["valid"]);
    let code = "secret_without_prefix";
    expect(Sent::signed(WHSEC), &given(&[WHSEC.trim_start_matches("whsec_")]), &[code], &[code]);
    expect(Sent::signed(WHSEC), &given(&[OTHER]), &["unexplained"], &["unexplained"]);
    // A sender that took the text of a whsec_ secret as the key.
    let not_decoded = secret(&format!("whsec_{}", BASE64.encode(WHSEC)));
    let signed = standard([&not_decoded], "evt_1", SIGNED_AT_S, BODY.as_bytes());
    expect(Sent::signed(WHSEC).with(STANDARD, &signed), &given(&[WHSEC]), &["valid"], &["secret_not_decoded"]);
    let code = "secret_with_white_space";
    expect(Sent::signed(PLAIN), &given(&["your_webhook_secret\n"]), &[code], &[code]);
    let code = "secret_quoted";
    expect(Sent::signed(PLAIN), &given(&["\"your_webhook_secret\""]), &[code], &[code]);
}

#[test]
fn changed_and_missing_headers_are_named() {
    for (name, value, code) in [
        (TIMESTAMP, "1739874960", "timestamp_changed"),
        (TIMESTAMP, "1739874900000", "timestamp_changed"),
        (TIMESTAMP, "1739871300", "timestamp_changed"),
        (TIMESTAMP, "2025-02-18T10:35:00Z", "timestamp_changed"),
        (TIMESTAMP, "1700000000", "unexplained"),
        (TIMESTAMP, "-9223372036854775808", "unexplained"),
        (ID, "evt_2", "id_changed"),
        (STANDARD, "v2,abc", "unknown_version"),
    ] {
        expect(Sent::signed(PLAIN).with(name, value), &given(&[PLAIN]), &["valid"], &[code]);
    }
    for missing in [ID, TIMESTAMP] {
        expect(Sent::signed(PLAIN).without(missing), &given(&[PLAIN]), &["valid"], &["header_missing"]);
    }
    let sent = Sent::signed(PLAIN);
    let (hmac, entry) = (sent.value(BODY_HMAC).to_owned(), sent.value(STANDARD).to_owned());
    let with = |name: &str, value: &str| sent.clone().with(name, value);
    expect(with(BODY_HMAC, &hmac.to_uppercase()), &given(&[PLAIN]), &["case_changed"], &["valid"]);
    let twice = with(BODY_HMAC, &format!("{hmac}, {hmac}")).diagnose(&given(&[PLAIN]));
    assert_eq!(
        (twice.valid, codes(&twice, BODY_HMAC)),
        (false, vec!["header_repeated", "valid", "valid"]),
        "{twice:#?}"
    );
    expect(with(BODY_HMAC, &entry), &given(&[PLAIN]), &["wrong_header"], &["valid"]);
    expect(with(STANDARD, &hmac), &given(&[PLAIN]), &["valid"], &["wrong_header"]);
    let renamed = with("x-signature", &hmac).without(BODY_HMAC).without(STANDARD).diagnose(&given(&[PLAIN]));
    assert_eq!((renamed.valid, codes(&renamed, "x-signature")), (false, vec!["wrong_header"]), "{renamed:#?}");
    let none = sent.clone().without(BODY_HMAC).without(STANDARD).diagnose(&given(&[PLAIN]));
    assert_eq!((none.valid, none.findings.len(), none.findings[0].code), (false, 1, Code::SignatureMissing));
}

fn event() -> Event {
    let object = r#"{"name": "Nom é", "price": 1.50, "tags": ["a/b", "<c>"]}"#;
    let new = NewEvent {
        event_type: "user.created".parse().expect("a type"),
        object: RawValue::from_string(object.to_owned()).expect("JSON"),
        previous_data: None,
    };
    Event::new("acme".parse().expect("a name"), EventId::first_at(at(SIGNED_AT_S)), &new)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1000)
}

fn webhook(ms: i64, by: &str) -> Webhook {
    Webhook { secret: secret(by), ..registered_at(ms, &["*"]) }
}

/// The stored event, and the webhooks of the account.
fn stored(webhooks: &[&Webhook]) -> Evidence {
    let attempt = Attempt {
        number: 1,
        started_at: at(SIGNED_AT_S),
        duration_ms: 40,
        status_code: Some(401),
        error: None,
        response_body: None,
    };
    let attempts = webhooks.iter().map(|webhook| (webhook.id, vec![attempt.clone()])).collect();
    let webhooks = webhooks.iter().map(|webhook| (*webhook).clone()).collect();
    Evidence { webhooks, event: Some(event()), attempts, ..Evidence::default() }
}

#[test]
fn the_secret_of_another_webhook_and_replaced_ones_are_named() {
    let (mut one, other) = (webhook(1, PLAIN), webhook(2, WHSEC));
    let sent = Sent::delivery(&event(), &one, at(SIGNED_AT_S));
    let asked = |asked: WebhookId, evidence: Evidence| Evidence { asked: Some(asked), ..evidence };
    let with = |given_secret: &str, evidence: Evidence| Evidence { given: given(&[given_secret]).given, ..evidence };
    let both = || stored(&[&one, &other]);
    expect(sent.clone(), &both(), &["valid"], &["valid"]);
    expect(sent.clone(), &asked(one.id, both()), &["valid"], &["valid"]);
    let code = "secret_of_another_webhook";
    expect(sent.clone(), &asked(other.id, both()), &[code], &[code]);
    expect(sent.clone(), &with(WHSEC, both()), &[code], &[code]);
    expect(sent.clone(), &with(OTHER, both()), &["wrong_secret"], &["wrong_secret"]);

    let rotation = Rotation { secret: None, overlap: Duration::from_secs(60) };
    one.rotate_secret(&secret(OTHER), rotation.overlap, at(SIGNED_AT_S)).expect("room");
    let rotated = || stored(&[&one, &other]);
    // The old secret of the receiver, and a request of after the overlap; a request of before it, and the new secret.
    let later = Sent::delivery(&event(), &one, at(SIGNED_AT_S + 61));
    expect(later, &with(PLAIN, rotated()), &["previous_secret"], &["previous_secret"]);
    expect(sent.clone(), &with(OTHER, rotated()), &["previous_secret"], &["previous_secret"]);
    expect(sent.clone(), &rotated(), &["valid"], &["valid"]);
    let during = Sent::delivery(&event(), &one, at(SIGNED_AT_S + 30));
    expect(during.clone(), &with(OTHER, rotated()), &["previous_secret"], &["valid", "previous_secret"]);
    expect(during, &rotated(), &["valid"], &["valid", "valid"]);
}

#[test]
fn the_tolerance_is_judged_by_the_time_of_receipt_or_the_recorded_attempt() {
    let one = webhook(1, PLAIN);
    let received = |seconds: i64| Sent { at: Some(at(seconds)), ..Sent::delivery(&event(), &one, at(SIGNED_AT_S)) };
    let code = "timestamp_out_of_tolerance";
    for (seconds, expected) in [(300, "valid"), (301, code), (-300, "valid"), (-301, code), (600, code)] {
        expect(received(SIGNED_AT_S + seconds), &stored(&[&one]), &["valid"], &[expected]);
    }
    // Years later, the recorded attempt still says when it was made.
    let sent = Sent { at: None, ..received(0) };
    expect(sent.clone(), &stored(&[&one]), &["valid"], &["valid"]);
    let forged = Sent::delivery(&event(), &one, at(SIGNED_AT_S + 1000));
    expect(forged, &stored(&[&one]), &["valid"], &[code]);
    expect(sent.with(TIMESTAMP, "7"), &stored(&[&one]), &["valid"], &["timestamp_changed"]);
}

#[test]
fn the_stored_body_is_compared_even_if_the_secret_is_unknown() {
    let (one, stranger) = (webhook(1, PLAIN), webhook(2, WHSEC));
    let sent = Sent::delivery(&event(), &stranger, at(SIGNED_AT_S));
    let changed = [&event().payload[..], b"\n"].concat();
    let codes = ["trailing_newline_added", "unexplained"];
    expect(sent.clone().body(changed), &stored(&[&one]), &codes, &codes);
    // Two changes, one after the other, are both named.
    let twice = r#"{"id": "ID", "type": "user.created", "created_at": "AT", "data": {"object": {"name": "Nom \u00e9", "price": 1.5, "tags": ["a/b", "<c>"]}}, "previous_data": null}"#;
    let twice = twice.replace("ID", &event().id.to_string()).replace("AT", &at(SIGNED_AT_S).to_string()) + "\n";
    let both = ["json_rewritten", "trailing_newline_added"];
    expect(sent.clone().body(twice), &stored(&[&stranger]), &both, &both);
    let cut = event().payload[..50].to_vec();
    expect(sent.body(cut), &stored(&[&stranger]), &["body_truncated"], &["body_truncated"]);
}

/// What the receiver's own code computes, wrongly, for a request that is right.
#[test]
fn what_the_receiver_computed_is_explained() {
    let one = webhook(1, WHSEC);
    let sent = Sent::delivery(&event(), &one, at(SIGNED_AT_S));
    let (id, body) = (event().id.to_string(), event().payload.to_vec());
    let hmac = |key: &[u8], text: &[u8]| crate::signature::hmac_sha256(key, &[text]);
    let (key, content) = (secret(WHSEC).standard_key(), [format!("{id}.{SIGNED_AT_S}.").as_bytes(), &body].concat());
    let text = String::from_utf8(body.clone()).expect("UTF-8");
    let python = text
        .replace("\": ", "\":")
        .replace("\":", "\": ")
        .replace(", ", ",")
        .replace(",\"", ", \"")
        .replace('é', "\\u00e9")
        .replace("1.50", "1.5");
    for (computed, code) in [
        (sent.value(STANDARD).to_owned(), "valid"),
        (sent.value(BODY_HMAC).to_owned(), "valid"),
        (BASE64.encode(hmac(&key, &content)), "valid"),
        (hex::encode(hmac(&key, &content)), "hex_instead_of_base64"),
        (BASE64.encode(hmac(WHSEC.as_bytes(), &body)), "base64_instead_of_hex"),
        (BASE64.encode(hmac(&key, &content)).trim_end_matches('=').to_owned(), "base64_without_padding"),
        (BASE64.encode(hmac(WHSEC.as_bytes(), &content)), "secret_not_decoded"),
        (BASE64.encode(hmac(&WHSEC.as_bytes()[6..], &content)), "secret_not_decoded"),
        (hex::encode(hmac(&key, &body)), "secret_decoded"),
        (BASE64.encode(hmac(&key, &body)), "wrong_content"),
        (BASE64.encode(hmac(&key, &content[id.len() + 1..])), "wrong_content"),
        (hex::encode(hmac(WHSEC.as_bytes(), python.as_bytes())), "json_rewritten"),
        (hex::encode(hmac(WHSEC.as_bytes(), b"[object Object]")), "body_not_raw"),
        (hex::encode(hmac(WHSEC.as_bytes(), b"")), "body_truncated"),
        (hex::encode(hmac(WHSEC.as_bytes(), &[&body[..], b"\n"].concat())), "trailing_newline_added"),
        (hex::encode(hmac(b"", &body)), "unexplained"),
    ] {
        let found = sent.clone().computed(computed.clone()).diagnose(&stored(&[&one]));
        assert!(found.valid, "{found:#?}");
        assert_eq!(codes(&found, COMPUTED), [code], "{computed} {found:#?}");
    }
}

#[test]
fn no_finding_shows_a_secret_or_a_signature() {
    let (one, other) = (webhook(1, PLAIN), webhook(2, WHSEC));
    let sent = Sent::delivery(&event(), &one, at(SIGNED_AT_S));
    let signatures = [sent.value(BODY_HMAC).to_owned(), sent.value(STANDARD).trim_start_matches("v1,").to_owned()];
    for evidence in
        [stored(&[&one, &other]), Evidence { asked: Some(other.id), ..stored(&[&one, &other]) }, given(&[OTHER])]
    {
        for sent in [
            sent.clone(),
            sent.clone().with(BODY_HMAC, &signatures[0].to_uppercase()),
            sent.clone().with(BODY_HMAC, "0").with(STANDARD, &signatures[1].to_lowercase()),
            sent.clone().body("").computed("x"),
        ] {
            let found = serde_json::to_string(&sent.diagnose(&evidence)).expect("JSON");
            for hidden in [PLAIN, WHSEC, OTHER, &signatures[0], &signatures[1]] {
                assert!(!found.contains(hidden), "{hidden}: {found}");
            }
        }
    }
}

#[test]
fn the_work_is_bounded() {
    let body = format!(r#"{{"id":"evt_1","list":[{}]}}"#, vec![r#"{"é":1.0}"#; 25_000].join(", "));
    let webhooks: Vec<_> = (1..=100).map(|ms| webhook(ms, &format!("the secret of the webhook {ms}"))).collect();
    let evidence = Evidence { webhooks, ..Evidence::default() };
    let began = std::time::Instant::now();
    let found = Sent::signed(PLAIN).body(body).computed("x".repeat(64)).diagnose(&evidence);
    assert!(!found.valid && found.findings.iter().all(|finding| finding.code == Code::Unexplained), "{found:#?}");
    assert!(found.findings.iter().any(|finding| finding.detail.contains("ended at its bound")), "{found:#?}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

/// The example of the documentation is answered as it says.
#[test]
fn the_documented_example_is_answered_so() {
    let document = include_str!("../../../../infra/docs/signatures.md");
    let between = |text: &'static str, from: &str, to: &str| {
        text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).unwrap_or_else(|| panic!("no {from}")).0
    };
    let request = DiagnosisRequest::parse(between(document, "-d '", "'\n").as_bytes()).expect("a valid request");
    let evidence = Evidence { given: request.secret.into_iter().collect(), ..Evidence::default() };
    let answer: serde_json::Value = serde_json::from_str(between(document, "```json\n", "```")).expect("JSON");
    assert_eq!(serde_json::to_value(diagnose(&request.received, &evidence)).expect("JSON"), answer);
}

/// A signature that nothing explains leaves work for the others.
#[test]
fn one_search_does_not_use_up_the_work_of_the_others() {
    let padding = r#"{"é":1.0}"#;
    let body = format!(r#"{{"id":"evt_1","list":[{}]}}"#, vec![padding; 25_000].join(","));
    let by = secret(PLAIN);
    let sent = Sent::signed(PLAIN).body(body.as_str());
    let sent = sent.with(STANDARD, &standard([&by], "evt_1", SIGNED_AT_S, body.as_bytes())).with(BODY_HMAC, "00");
    let found = sent.computed(body_hmac(&by, body.as_bytes())).diagnose(&given(&[PLAIN]));
    assert_eq!((codes(&found, BODY_HMAC), codes(&found, STANDARD)), (vec!["unexplained"], vec!["valid"]), "{found:#?}");
    assert_eq!(codes(&found, COMPUTED), ["valid"]);
}
