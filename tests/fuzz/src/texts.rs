//! Targets for parsers of one text. Nothing here does I/O.

use domain::{
    account::AccountId,
    backoff::RetrySchedule,
    diagnosis::{COMPUTED, Code, DiagnosisRequest, Evidence, GivenSecret, diagnose},
    endpoint_policy::{EndpointPolicy, EndpointUrl},
    event_type::{EventType, Subscription},
    filter::{Document, Filter},
    id::{DeliveryId, EventId, InvalidId, TokenId, WebhookId},
    input::{Fault, Fields, InputError, new_event},
    polling::{Bounds, CURSOR_CHARS_MAX, Cursor, Read},
    schema::Schema,
    secret::Secret,
    signature,
    time::Timestamp,
};
use endpoint::RetryAfter;
use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use serde_json::value::RawValue;
use std::{fmt::Display, str::FromStr, time::Duration};
use store::keys;

/// Returns the bytes as text. Bytes that are not UTF-8 never reach these parsers, so they become
/// the empty text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Parses a text, and asserts that the value is displayed as it was written.
fn shown_as_written<T: FromStr + Display>(text: &str) -> Option<T> {
    let parsed: T = text.parse().ok()?;
    assert_eq!(parsed.to_string(), text);
    Some(parsed)
}

/// An event to publish. The accepted object is a part of the body, unchanged. Every fault has a
/// JSON pointer and a detail.
pub(crate) fn input_json(body: &[u8]) {
    let read = |body: &[u8]| {
        let mut fields = Fields::parse(body)?;
        let new = new_event(&mut fields);
        fields.finish(|| new)
    };
    match read(body) {
        Ok(new) => {
            let object = new.object.get();
            assert!(object.starts_with('{') && text(body).contains(object), "{object}");
        }
        Err(InputError::Malformed(why)) => assert!(!why.is_empty()),
        Err(InputError::Invalid(faults)) => assert_explained(&faults),
    }
}

/// A request to debug. It is judged with the secret that it gives, or with one of ours. A finding has a text, which does not show our
/// secret, and a request counts as valid only if one of its headers is. Without our secret, nobody signs for it.
pub(crate) fn received_request(body: &[u8]) {
    const OURS: &str = "a secret that nobody has";
    match DiagnosisRequest::parse(body) {
        Ok(request) => {
            let ours = || GivenSecret::parse(OURS).expect("a secret");
            let is_given = request.secret.is_some();
            let evidence = Evidence { given: vec![request.secret.unwrap_or_else(ours)], ..Evidence::default() };
            let found = diagnose(&request.received, &evidence);
            assert!(!found.findings.is_empty());
            assert!(found.findings.iter().all(|finding| !finding.detail.is_empty() && !finding.header.is_empty()));
            let holds = |code: Code, header: &str| code == Code::Valid && header != COMPUTED;
            let any_holds = found.findings.iter().any(|finding| holds(finding.code, &finding.header));
            assert!(!found.valid || any_holds);
            assert!(is_given || !any_holds, "somebody signed with our secret");
            let names_ours = |finding: &domain::diagnosis::Finding| finding.detail.contains(OURS);
            assert!(text(body).contains(OURS) || !found.findings.iter().any(names_ours));
            assert_eq!(diagnose(&request.received, &evidence), found, "a second diagnosis differs");
        }
        Err(InputError::Malformed(why)) => assert!(!why.is_empty()),
        Err(InputError::Invalid(faults)) => assert_explained(&faults),
    }
}

/// Asserts that there are faults, each with a JSON pointer and a detail.
fn assert_explained(faults: &[Fault]) {
    assert!(!faults.is_empty());
    let valid = |pointer: &str| pointer.is_empty() || pointer.starts_with('/');
    assert!(faults.iter().all(|fault| valid(&fault.pointer) && !fault.detail.is_empty()), "{faults:?}");
}

/// A schema, and after the first line break an object. An accepted schema judges the object. Every fault of either has a JSON
/// pointer and a detail.
pub(crate) fn schema(bytes: &[u8]) {
    let (schema, object) = text(bytes).split_once('\n').unwrap_or((text(bytes), "{}"));
    let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
    let Some(schema) = raw(schema) else { return };
    match Schema::parse(&schema) {
        Err(faults) => assert_explained(&Vec::from(faults)),
        Ok(schema) => {
            let faults = raw(object).map(|object| Vec::from(schema.faults(&object))).unwrap_or_default();
            if !faults.is_empty() {
                assert_explained(&faults);
            }
        }
    }
}

/// A filter, and after the first line break a payload. An accepted filter is kept as it is written and compiles again. Both
/// compiled filters judge the payload alike.
pub(crate) fn filter(bytes: &[u8]) {
    let (pattern, payload) = text(bytes).split_once('\n').unwrap_or_default();
    let Ok(raw) = serde_json::from_str::<&RawValue>(pattern) else { return };
    match Filter::read(raw) {
        Ok(filter) => {
            assert_eq!(filter.as_str(), raw.get());
            let (one, other) = (filter.compile().expect("it was read"), filter.compile().expect("it was read"));
            if let Some(document) = Document::parse(payload.as_bytes()) {
                assert_eq!(one.matches(&document), other.matches(&document));
            }
        }
        Err(faults) => assert_explained(&Vec::from(faults)),
    }
}

/// Ids of every kind. A text is an id of one kind at most, and has no separator of keys in it.
pub(crate) fn id(bytes: &[u8]) {
    let text = text(bytes);
    let separators = ['#', '.', '/', ' ', '\0'];
    let kinds = [
        shown_as_written::<WebhookId>(text).is_some(),
        shown_as_written::<EventId>(text).is_some(),
        shown_as_written::<TokenId>(text).is_some(),
        shown_as_written::<DeliveryId>(text).is_some(),
    ];
    assert!(kinds.iter().filter(|is| **is).count() <= 1, "{text} is an id of two kinds");
    let account: Result<AccountId, InvalidId> = text.parse();
    if account.is_ok() || kinds.contains(&true) {
        assert!(!text.contains(separators), "{text}");
    }
    if let (Ok(account), Ok(webhook)) = (account, text.parse()) {
        // An account may have the name of a webhook's id. Their keys must still differ.
        assert_ne!(keys::webhook(&account, webhook), keys::event_type(text));
    }
}

/// The cursor of a poll. An accepted one is displayed as a cursor of the same meaning, within the limit. A poll that finds nothing
/// accepts it, and never moves back.
pub(crate) fn poll_cursor(bytes: &[u8]) {
    let Ok(cursor) = text(bytes).parse::<Cursor>() else { return };
    let shown = cursor.to_string();
    assert!(shown.len() <= CURSOR_CHARS_MAX, "{} characters", shown.len());
    assert_eq!(shown.parse(), Ok(cursor.clone()), "{shown}");
    for now in [Timestamp::EPOCH, cursor.after().made_at().plus(Duration::from_mins(1))] {
        let bounds = Bounds { entries: 1, weight: 1 };
        let polled = cursor.advance(Read::<()> { rows: vec![], to: None }, now, bounds, |()| 1);
        assert!(polled.entries.is_empty() && polled.cursor.after() >= cursor.after(), "{shown}");
        assert!(polled.cursor.to_string().parse::<Cursor>().is_ok(), "{shown}");
    }
}

/// Event types and subscriptions. An accepted name must fit into a header, a key and a message.
pub(crate) fn event_type(bytes: &[u8]) {
    let text = text(bytes);
    if let Some(event_type) = shown_as_written::<EventType>(text) {
        assert!(HeaderValue::from_str(event_type.as_str()).is_ok() && !text.contains('#'), "{text}");
        assert!(text.parse::<Subscription>().is_ok_and(|exactly| exactly.covers(&event_type)), "{text}");
        assert!("*".parse::<Subscription>().is_ok_and(|all| all.covers(&event_type)));
    }
    if let Some(subscription) = shown_as_written::<Subscription>(text) {
        let json = serde_json::to_string(&subscription).expect("JSON");
        assert_eq!(serde_json::from_str::<Subscription>(&json).expect("a subscription is read back"), subscription);
    }
}

/// A retry schedule. It must end. An attempt must never be early, and at most a tenth of its wait
/// late. If `Retry-After` asks for a longer wait, it must be due within two hours.
pub(crate) fn retry_schedule(bytes: &[u8]) {
    let Ok(schedule) = text(bytes).parse::<RetrySchedule>() else { return };
    assert!((1..=20).contains(&schedule.steps()) && schedule.first_wait() <= Duration::from_mins(15));
    let now = Timestamp::EPOCH;
    for done in 0..=schedule.steps() + 1 {
        let bare = schedule.next(done, now, None, 0.0);
        assert_eq!(bare.is_some(), done < schedule.steps());
        for (wish, jitter) in
            [(None, 1.0), (None, f64::INFINITY), (Some(Duration::MAX), 0.5), (Some(Duration::ZERO), -1.0)]
        {
            let due = schedule.next(done, now, wish, jitter);
            assert!(due >= bare, "{due:?} is before {bare:?}");
            let latest = bare.map(|bare| bare.plus(bare.since(now) / 10).max(now.plus(Duration::from_hours(2))));
            assert!(due <= latest, "{due:?} is after {latest:?}");
        }
    }
}

/// `Retry-After` headers, one value a line. Several values must be ignored.
pub(crate) fn retry_after(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    let values = bytes.split(|byte| *byte == b'\n').take(4).map(HeaderValue::from_bytes);
    values.flatten().for_each(|value| {
        headers.append(RETRY_AFTER, value);
    });
    if let Some(asked) = RetryAfter::from_headers(&headers) {
        assert_eq!(headers.len(), 1, "{asked:?} was read from several values");
    }
}

/// A webhook's URL. An accepted URL can be sent in a request. If it names an address, the policy
/// allows it. Under the strict policy, it is `https`.
pub(crate) fn endpoint_url(bytes: &[u8]) {
    let text = text(bytes);
    let _ = EndpointUrl::stored(text);
    for policy in [EndpointPolicy::Strict, EndpointPolicy::AllowLoopback] {
        let Ok(url) = policy.judge_url(text) else { continue };
        assert_eq!(url.as_str(), text);
        let parsed = url.as_url();
        assert!(parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none(), "{text}");
        assert!(parsed.as_str().parse::<http::Uri>().is_ok(), "{text}");
        assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace()), "{text:?}");
        let host = parsed.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).trim_end_matches('.').parse();
        assert!(address.map_or(true, |ip| policy.allows(ip)), "{text} was accepted but leads to {host}");
        if policy == EndpointPolicy::Strict {
            assert!(parsed.scheme() == "https" && (host.contains('.') || host.contains(':')), "{text}");
        }
    }
}

/// An RFC 3339 time. An accepted time is displayed, and read back, as the same second.
pub(crate) fn time(bytes: &[u8]) {
    let Ok(moment) = Timestamp::parse_rfc3339(text(bytes)) else { return };
    let shown = moment.to_string();
    assert!(shown.len() == 20 && shown.ends_with('Z'), "{shown}");
    let again = Timestamp::parse_rfc3339(&shown).expect("a displayed time can be read");
    assert_eq!((again.unix_seconds(), again.unix_ms() % 1000), (moment.unix_seconds(), 0));
    assert!(EventId::first_at(moment).made_at() == moment, "{shown}");
}

/// A secret. It must sign, its signatures must fit into headers, and `Debug` must not show it.
pub(crate) fn secret(bytes: &[u8]) {
    let text = text(bytes);
    let Ok(secret) = Secret::parse(text) else { return };
    assert_eq!(secret.expose(), text);
    let another = Secret::parse("your_webhook_secret").expect("valid");
    assert_eq!(format!("{secret:?}"), format!("{another:?}"), "Debug should show all secrets alike");
    assert!(!secret.standard_key().is_empty());
    let (body_hmac, standard) =
        (signature::body_hmac(&secret, bytes), signature::standard([&secret], "evt_1", 1, bytes));
    assert!(HeaderValue::from_str(&body_hmac).is_ok() && HeaderValue::from_str(&standard).is_ok());
    assert!(body_hmac.len() == 64 && standard.starts_with("v1,") && standard.len() == 47, "{body_hmac} {standard}");
}
