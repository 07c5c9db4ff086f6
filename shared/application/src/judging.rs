//! Judging an event by the schema of its type.

use domain::{
    event_type::EventType,
    schema::{Judge, Judgement},
};
use serde_json::value::RawValue;

/// Judges the object of an event of `event_type`. A schema that this version cannot use any more judges nothing, because it must
/// not stop publishing.
pub fn judge(judge: &Judge, event_type: &EventType, object: &RawValue) -> Judgement {
    judge.judge(object).unwrap_or_else(|error| {
        tracing::error!(%event_type, %error, "an event is published without being judged");
        Judgement::default()
    })
}
