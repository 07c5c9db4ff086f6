//! A request to a receiver as users see it, without its secrets.

use domain::{delivery::request, event::Event, time::Timestamp, webhook::Webhook};
use serde::Serialize;
use std::collections::BTreeMap;

/// A request that would be sent.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OutgoingRequest))]
pub(crate) struct RequestView {
    /// The method. `null` if the events are polled.
    method: Option<&'static str>,
    /// The webhook's URL. `null` if the events are polled.
    url: Option<String>,
    /// The headers, by their names in lower case, without those of the connection. Secrets are not shown: credentials, the values of the
    /// webhook's own headers, and signatures are `***`.
    headers: BTreeMap<String, String>,
    /// The body, byte for byte: the event as JSON.
    body: String,
}

impl RequestView {
    /// Returns the request of attempt `number` at `now`.
    pub(crate) fn new(webhook: &Webhook, event: &Event, number: u32, now: Timestamp) -> Self {
        Self {
            method: webhook.url.as_ref().map(|_| "POST"),
            url: webhook.url.as_ref().map(ToString::to_string),
            headers: request::headers_shown(event, webhook, number, now),
            body: String::from_utf8_lossy(&event.payload).into_owned(),
        }
    }
}
