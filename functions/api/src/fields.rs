//! Readers for the fields of bodies. Each returns the value, or what is wrong with it.

use domain::{
    endpoint_policy::{EndpointPolicy, EndpointUrl},
    event_type::Subscription,
    input::{self, Faults},
    secret::Secret,
    time::Timestamp,
    webhook::{self, DeliveryMode, Held, SUBSCRIPTIONS_MAX, WebhookStatus},
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
    input::parsed(raw)
}

/// Reads how a webhook's events reach the receiver.
pub(crate) fn delivery_mode(raw: &RawValue) -> Result<DeliveryMode, Faults> {
    match input::string(raw)?.as_str() {
        "push" => Ok(DeliveryMode::Push),
        "poll" => Ok(DeliveryMode::Poll),
        _ => Err("must be 'push' or 'poll'".into()),
    }
}

/// Reads when a webhook is deleted by itself.
pub(crate) fn expiry(now: Timestamp, raw: &RawValue) -> Result<Timestamp, Faults> {
    let moment = time(raw)?;
    if moment > now { Ok(moment) } else { Err("must be in the future".into()) }
}

/// Reads what becomes of held deliveries.
pub(crate) fn held(raw: &RawValue) -> Result<Held, Faults> {
    match input::string(raw)?.as_str() {
        "recover" => Ok(Held::Recover),
        "cancel" => Ok(Held::Cancel),
        _ => Err("must be 'recover' or 'cancel'".into()),
    }
}

/// Reads a time in RFC 3339.
pub(crate) fn time(raw: &RawValue) -> Result<Timestamp, Faults> {
    Ok(Timestamp::parse_rfc3339(&input::string(raw)?)?)
}
