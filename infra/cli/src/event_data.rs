//! What an event of the user carries.

use crate::client::events::NewEventData;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A document that is a whole `data`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    object: Box<RawValue>,
}

/// Returns the event's `data`. The document is its object, unless it is `{"object": {…}}`, which is a whole `data`.
pub(crate) fn of(document: Box<RawValue>) -> NewEventData {
    match serde_json::from_str::<Whole>(document.get()) {
        Ok(Whole { object }) if object.get().starts_with('{') => NewEventData { object },
        _ => NewEventData { object: document },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_the_object_or_a_whole_data() {
        for (document, object) in [
            (r#"{"id": "res_1"}"#, r#"{"id": "res_1"}"#),
            (r#"{"object": {"id": "res_1"}}"#, r#"{"id": "res_1"}"#),
            (r#"{"object": "list"}"#, r#"{"object": "list"}"#),
            (r#"{"object": {}, "id": 1}"#, r#"{"object": {}, "id": 1}"#),
            ("{}", "{}"),
        ] {
            let document = RawValue::from_string(document.to_owned()).expect("JSON");
            assert_eq!(of(document).object.get(), object);
        }
    }
}
