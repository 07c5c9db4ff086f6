//! The services' limits on sizes and counts, from their documentation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::call::{Call, Service};

/// The largest DynamoDB item in bytes, attribute names included.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// The most keys of one `BatchGetItem`.
pub const BATCH_GET_KEYS_MAX: usize = 100;
/// The largest SQS message, or batch of messages, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// The most entries of a batch of messages.
pub const BATCH_ENTRIES_MAX: usize = 10;
/// The longest delay of a message, in seconds.
pub const DELAY_SECONDS_MAX: i64 = 900;
/// The largest event or answer of a function in bytes: 6 MB, and what Lambda allows for its own
/// envelope.
pub const PAYLOAD_BYTES_MAX: usize = 6_291_556;

/// Returns the limit that a call exceeds, in words, or `None` if its service would accept it.
pub fn breach(call: &Call) -> Option<String> {
    let wrong = match (call.service, call.operation.as_str()) {
        (Service::DynamoDb, "PutItem") => {
            let bytes = item_bytes(&call.body["Item"]);
            (bytes > ITEM_BYTES_MAX).then(|| format!("an item of {bytes} bytes"))
        }
        (Service::DynamoDb, "BatchGetItem") => {
            let keys = call.keys();
            (keys.len() > BATCH_GET_KEYS_MAX).then(|| format!("{} keys at once", keys.len()))
        }
        (Service::Sqs, "SendMessage") => message_breach(&call.body),
        (Service::Sqs, "SendMessageBatch") => {
            let entries = call.body["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
            let bytes: usize = entries.iter().map(message_bytes).sum();
            if entries.len() > BATCH_ENTRIES_MAX {
                Some(format!("{} entries at once", entries.len()))
            } else if bytes > MESSAGE_BYTES_MAX {
                Some(format!("a batch of {bytes} bytes"))
            } else {
                entries.iter().find_map(message_breach)
            }
        }
        _ => None,
    };
    wrong.map(|wrong| format!("{}: {wrong}", call.operation))
}

fn message_breach(message: &Value) -> Option<String> {
    let (bytes, delay_s) = (message_bytes(message), message["DelaySeconds"].as_i64().unwrap_or(0));
    if bytes > MESSAGE_BYTES_MAX {
        return Some(format!("a message of {bytes} bytes"));
    }
    (!(0..=DELAY_SECONDS_MAX).contains(&delay_s)).then(|| format!("a delay of {delay_s} s"))
}

fn message_bytes(message: &Value) -> usize {
    message["MessageBody"].as_str().map_or(0, str::len)
}

/// Returns an item's size in bytes: the names and the values of its attributes.
pub fn item_bytes(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else { return 0 };
    let text = || value.as_str().unwrap_or_default();
    match kind.as_str() {
        "S" => text().len(),
        "B" => STANDARD.decode(text()).map_or(0, |bytes| bytes.len()),
        // One byte for two digits, and one for the exponent.
        "N" => text().len().div_ceil(2) + 1,
        "M" => 3 + value.as_object().map_or(0, serde_json::Map::len) + item_bytes(value),
        "L" => 3 + value.as_array().into_iter().flatten().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Returns a body's size in bytes as a JSON string, as in Lambda's events and answers.
pub fn bytes_as_json_string(body: &str) -> usize {
    let escaped = |character: char| match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        control if control < ' ' => 6,
        other => other.len_utf8(),
    };
    2 + body.chars().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_size_of_an_item_includes_names_and_values() {
        let item = json!({
            "id": {"S": "four"}, "payload": {"B": "AAECAw=="}, "version": {"N": "12"},
            "list": {"L": [{"BOOL": true}, {"NULL": true}]}, "map": {"M": {"a": {"S": "b"}}},
        });
        assert_eq!(item_bytes(&item), (2 + 4) + (7 + 4) + (7 + 2) + (4 + 3 + 4) + (3 + 3 + 1 + 2));
    }

    #[test]
    fn the_size_of_a_json_string_is_what_serde_writes() {
        let body = "{\"a\": \"ä\n\u{1}\"}";
        assert_eq!(bytes_as_json_string(body), serde_json::to_string(body).expect("a string").len());
    }

    #[test]
    fn calls_beyond_a_limit_are_found() {
        let call = |operation: &str, body| Call {
            service: if operation.starts_with("Send") { Service::Sqs } else { Service::DynamoDb },
            operation: operation.to_owned(),
            subject: String::new(),
            body,
        };
        let message = |bytes: usize, delay_s: i64| json!({"MessageBody": "x".repeat(bytes), "DelaySeconds": delay_s});
        assert_eq!(breach(&call("SendMessage", message(MESSAGE_BYTES_MAX, DELAY_SECONDS_MAX))), None);
        assert!(breach(&call("SendMessage", message(MESSAGE_BYTES_MAX + 1, 0))).is_some());
        assert!(breach(&call("SendMessage", message(1, 901))).is_some());
        let batch = |count: usize| json!({"Entries": vec![message(100 * 1024, 0); count]});
        assert_eq!(breach(&call("SendMessageBatch", batch(10))), None);
        assert!(breach(&call("SendMessageBatch", batch(11))).is_some());
        let item = |bytes: usize| json!({"Item": {"payload": {"S": "x".repeat(bytes)}}});
        assert_eq!(breach(&call("PutItem", item(ITEM_BYTES_MAX - 7))), None);
        assert!(breach(&call("PutItem", item(ITEM_BYTES_MAX - 6))).is_some());
    }
}
