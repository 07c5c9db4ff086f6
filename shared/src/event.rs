//! An event: its payload is made once, from the publisher's own JSON text, and its bytes never change after.

use crate::{
    event_type::EventType,
    id::{AccountId, EventId},
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// The largest request for one event, in bytes.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// What a publisher says.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event's type.
    pub event_type: EventType,
    /// The JSON object under `data.object`, as the publisher wrote it.
    pub object: Box<RawValue>,
    /// The JSON object under `previous_data`, as the publisher wrote it.
    pub previous_data: Option<Box<RawValue>>,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose it is.
    pub account: AccountId,
    /// Its id, which tells when it was published.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// The JSON document that is delivered, signed and shown, byte for byte.
    pub payload: Bytes,
    /// Whether it is a test for one webhook, which neither fan-out nor recovery touches.
    pub test: bool,
}

/// What is known of an event without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSummary {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Whether it is a test.
    pub test: bool,
}

impl From<&Event> for EventSummary {
    fn from(event: &Event) -> Self {
        Self { id: event.id, event_type: event.event_type.clone(), test: event.test }
    }
}

/// What is delivered, and shown as the event.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Event))]
pub struct Payload<'a> {
    id: EventId,
    r#type: &'a EventType,
    created_at: String,
    data: Data<'a>,
    /// What an update replaced, or `null`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    previous_data: Option<&'a RawValue>,
}

/// The `data` of an event.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventData))]
pub struct Data<'a> {
    /// The publisher's own object.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    object: &'a RawValue,
}

impl Event {
    /// The event that `new` becomes under `id`. The same input gives the same bytes.
    pub fn new(account: AccountId, id: EventId, new: &NewEvent) -> Self {
        let payload = Payload {
            id,
            r#type: &new.event_type,
            created_at: id.made_at().to_string(),
            data: Data { object: &new.object },
            previous_data: new.previous_data.as_deref(),
        };
        let payload = serde_json::to_vec(&payload).expect("a payload of texts is JSON");
        Self { account, id, event_type: new.event_type.clone(), payload: payload.into(), test: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn the_payload_has_its_fields_in_order_and_keeps_the_publishers_text() {
        let new = NewEvent {
            event_type: "resource.updated".parse().expect("valid"),
            object: raw(r#"{"z":1.0,"a":12345678901234567890123, "e":"\u00e9"}"#),
            previous_data: None,
        };
        let id = EventId::first_at(Timestamp::parse_rfc3339("2025-02-18T10:30:00.5Z").expect("valid"));
        let event = Event::new("default".parse().expect("valid"), id, &new);
        let expected = format!(
            r#"{{"id":"{id}","type":"resource.updated","created_at":"2025-02-18T10:30:00Z","data":{{"object":{}}},"previous_data":null}}"#,
            new.object
        );
        assert_eq!(event.payload, expected.as_bytes());
    }
}
