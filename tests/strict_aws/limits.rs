//! Sizes and counts that the services refuse, as their documentation gives them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::call::{Call, Service};

/// The most that an item of DynamoDB's can weigh, names included.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Keys that one `BatchGetItem` takes.
pub const BATCH_GET_KEYS_MAX: usize = 100;
/// The most that a message of SQS's, or a batch of them, can weigh.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Entries that a batch of messages takes.
pub const BATCH_ENTRIES_MAX: usize = 10;
/// The longest delay of a message.
pub const DELAY_SECONDS_MAX: i64 = 900;
/// The most that Lambda hands over, or takes back: 6 MB and what it allows for its own envelope.
pub const PAYLOAD_BYTES_MAX: usize = 6_291_556;

/// What of a call its service refuses, in words; `None` where nothing is wrong.
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

/// What an item weighs: the names of its attributes and their values.
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
        // A byte for two digits, and one for the exponent.
        "N" => text().len().div_ceil(2) + 1,
        "M" => 3 + value.as_object().map_or(0, serde_json::Map::len) + item_bytes(value),
        "L" => 3 + value.as_array().into_iter().flatten().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        _ => 1,
    }
}

/// What a body weighs as a JSON string, as Lambda's events and answers have it.
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
    fn an_item_weighs_its_names_and_values() {
        let item = json!({
            "id": {"S": "four"}, "payload": {"B": "AAECAw=="}, "version": {"N": "12"},
            "list": {"L": [{"BOOL": true}, {"NULL": true}]}, "map": {"M": {"a": {"S": "b"}}},
        });
        assert_eq!(item_bytes(&item), (2 + 4) + (7 + 4) + (7 + 2) + (4 + 3 + 4) + (3 + 3 + 1 + 2));
    }

    #[test]
    fn a_body_is_weighed_as_serde_would_write_it() {
        let body = "{\"a\": \"ä\n\u{1}\"}";
        assert_eq!(bytes_as_json_string(body), serde_json::to_string(body).expect("a string").len());
    }

    #[test]
    fn what_is_too_much_is_told() {
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
