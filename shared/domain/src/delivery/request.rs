//! The request of an attempt: the headers that sign and describe the event. The body is the event's payload.

use crate::{
    VERSION,
    event::Event,
    signature,
    time::Timestamp,
    webhook::{
        Webhook,
        options::{self, SignedContent},
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::collections::BTreeMap;

/// What is shown in the place of a secret.
const HIDDEN: &str = "***";

/// Returns the headers of attempt `number`, which is made at `now`: what every delivery has, and what the webhook's options add. Not
/// among them are those of the connection, and `Authorization`.
pub fn headers(event: &Event, webhook: &Webhook, number: u32, now: Timestamp) -> HeaderMap {
    let id = event.id.to_string();
    let timestamp_s = now.unix_seconds();
    let standard = signature::standard(webhook.signing_secrets(now), &id, timestamp_s, &event.payload);
    let body_hmac = signature::body_hmac(webhook.oldest_signing_secret(now), &event.payload);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, ascii(&format!("Hookline/{VERSION}")));
    headers.insert(HeaderName::from_static("webhook-id"), ascii(&id));
    headers.insert(HeaderName::from_static("webhook-timestamp"), timestamp_s.into());
    headers.insert(HeaderName::from_static("webhook-signature"), secret(&standard));
    headers.insert(HeaderName::from_static("x-webhook-signature"), secret(&body_hmac));
    headers.insert(HeaderName::from_static("x-webhook-event"), ascii(event.event_type.as_str()));
    headers.insert(HeaderName::from_static("x-webhook-attempt"), number.into());
    if let Some(trace) = &event.trace {
        headers.insert(HeaderName::from_static("traceparent"), ascii(trace.as_str()));
    }
    if let Some(header) = &webhook.options.signature_header {
        let timestamp = timestamp_s.to_string();
        let content = SignedContent { id: &id, timestamp: &timestamp, body: &event.payload };
        let signature = header.sign(webhook.oldest_signing_secret(now), content);
        headers.insert(name(&header.name), secret(&signature));
    }
    for header in &webhook.options.headers {
        headers.insert(name(&header.name), secret(header.value.expose()));
    }
    headers
}

/// Returns the headers of attempt `number` at `now`, by their names in lower case, with `***` for each secret: the values that the
/// user has set, the credentials in `Authorization`, and the signatures. A valid signature of a payload that was never published would let
/// its holder send that payload to the receiver, which could not tell it from a delivery.
pub fn headers_shown(event: &Event, webhook: &Webhook, number: u32, now: Timestamp) -> BTreeMap<String, String> {
    let shown = |value: &HeaderValue| {
        if value.is_sensitive() { HIDDEN.into() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() }
    };
    let headers = headers(event, webhook, number, now);
    let mut all: BTreeMap<_, _> = headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect();
    if webhook.options.auth.is_some() {
        all.insert(header::AUTHORIZATION.to_string(), HIDDEN.to_owned());
    }
    all
}

fn name(name: &options::HeaderName) -> HeaderName {
    name.as_str().parse().expect("the name was parsed when the user sent it")
}

/// Converts what nobody but the receiver may see.
fn secret(text: &str) -> HeaderValue {
    let mut value = ascii(text);
    value.set_sensitive(true);
    value
}

/// Converts ids, type names, signatures and users' values, which are always visible ASCII.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, type names, signatures and users' values are visible ASCII")
}
