//! Readers for the fields of bodies. Each returns the value, or what is wrong with it.

use domain::{
    endpoint_policy::{EndpointPolicy, EndpointUrl},
    event_type::Subscription,
    input::{self, Faults},
    secret::Secret,
    time::Timestamp,
    webhook::{self, SUBSCRIPTIONS_MAX, WebhookStatus},
};
use serde_json::value::RawValue;

/// Reads a URL that `policy` allows.
pub(crate) fn url(policy: EndpointPolicy, raw: &RawValue) -> Result<EndpointUrl, Faults> {
    Ok(policy.judge_url(&input::string(raw)?)?)
}

/// Reads the event types that a webhook subscribes to, and drops duplicates.
pub(crate) fn subscriptions(raw: &RawValue) -> Result<Vec<Subscription>, Faults> {
    let mut events: Vec<Subscription> = Vec::new();
    for subscription in input::array(raw, SUBSCRIPTIONS_MAX, input::parsed)? {
        if !events.contains(&subscription) {
            events.push(subscription);
        }
    }
    Ok(events)
}

/// Reads a signing secret.
pub(crate) fn secret(raw: &RawValue) -> Result<Secret, Faults> {
    Ok(Secret::parse(&input::string(raw)?)?)
}

/// Reads a description.
pub(crate) fn description(raw: &RawValue) -> Result<String, Faults> {
    Ok(webhook::parse_description(&input::string(raw)?)?)
}

/// Reads a rate limit, in deliveries a second.
pub(crate) fn rate_limit(raw: &RawValue) -> Result<u32, Faults> {
    Ok(webhook::parse_rate_limit(input::integer(raw)?)?)
}

/// Reads the status of a webhook.
pub(crate) fn status(raw: &RawValue) -> Result<WebhookStatus, Faults> {
    match input::string(raw)?.as_str() {
        "enabled" => Ok(WebhookStatus::Enabled),
        "disabled" => Ok(WebhookStatus::Disabled),
        _ => Err("must be 'enabled' or 'disabled'".into()),
    }
}

/// Reads a time in RFC 3339.
pub(crate) fn time(raw: &RawValue) -> Result<Timestamp, Faults> {
    Ok(Timestamp::parse_rfc3339(&input::string(raw)?)?)
}
