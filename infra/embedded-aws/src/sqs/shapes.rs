//! SQS's requests and their limits, as the service's model and documentation give them. Nothing here uses a queue.

use crate::wire::Fault;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;

/// The most bytes of a message or a batch: the sum of bodies and attributes.
const BYTES_MAX: usize = 1024 * 1024;
/// The most entries of a batch, and the most messages of one receive.
const BATCH_MAX: usize = 10;
/// The longest delay of a message, in seconds.
const DELAY_SECONDS_MAX: i64 = 900;
/// The longest time that a receive waits for a message, in seconds.
const WAIT_SECONDS_MAX: i64 = 20;
/// The longest time that a message can stay hidden: 12 hours, in seconds.
const VISIBILITY_SECONDS_MAX: i64 = 43_200;

/// A message to send.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Outgoing {
    pub(super) message_body: String,
    delay_seconds: Option<i64>,
    pub(super) message_attributes: Option<Value>,
    pub(super) message_group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessage {
    pub(super) queue_url: String,
    #[serde(flatten)]
    pub(super) message: Outgoing,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReceiveMessage {
    pub(crate) queue_url: String,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

/// A receipt, alone or in a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receipt {
    pub(super) receipt_handle: String,
}

/// A receipt, and how long its message stays hidden from now on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Visibility {
    pub(super) receipt_handle: String,
    visibility_timeout: i64,
}

/// A request about one message of a queue.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Single<T> {
    pub(super) queue_url: String,
    #[serde(flatten)]
    pub(super) entry: T,
}

/// A request about up to ten messages of a queue.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct Batch<T> {
    pub(super) queue_url: String,
    pub(super) entries: Vec<BatchEntry<T>>,
}

/// One entry of a batch, with the id by which the answer names it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct BatchEntry<T> {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) entry: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributes {
    pub(super) queue_url: String,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueUrl {
    pub(super) queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PurgeQueue {
    pub(super) queue_url: String,
}

impl Outgoing {
    /// Returns when the message can be received if it is sent at `now_ms`.
    pub(super) fn visible_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.delay_seconds.unwrap_or(0).saturating_mul(1000))
    }

    /// Returns the size of the message: body and attributes.
    fn size_bytes(&self) -> usize {
        self.message_body.len() + self.message_attributes.as_ref().map_or(0, |attributes| attributes.to_string().len())
    }

    /// Checks the message against SQS's limits.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.message_body.is_empty() {
            return Err(Fault::new(400, "MissingParameter", "The request must contain the parameter MessageBody."));
        }
        if self.size_bytes() > BYTES_MAX {
            return Err(invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {BYTES_MAX} bytes."
            )));
        }
        if !self.message_body.chars().all(is_allowed) {
            let message = "Invalid characters found. Valid unicode characters are \
                #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";
            return Err(Fault::new(400, "InvalidMessageContents", message));
        }
        if let Some(group) = &self.message_group_id
            && !((1..=128).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(invalid(
                "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.",
            ));
        }
        within("DelaySeconds", self.delay_seconds.unwrap_or(0), 0, DELAY_SECONDS_MAX)
    }
}

impl Batch<Outgoing> {
    /// Checks the total size of the messages against SQS's limit.
    pub(super) fn check_size(&self) -> Result<(), Fault> {
        let bytes: usize = self.entries.iter().map(|entry| entry.entry.size_bytes()).sum();
        if bytes <= BYTES_MAX {
            return Ok(());
        }
        let message = format!("Batch requests cannot be longer than {BYTES_MAX} bytes. You have sent {bytes} bytes.");
        Err(Fault::new(400, "BatchRequestTooLong", message)
            .with_query_code("AWS.SimpleQueueService.BatchRequestTooLong"))
    }
}

impl<T> Batch<T> {
    /// Checks the number of entries and their ids against SQS's limits.
    pub(super) fn check_ids(&self) -> Result<(), Fault> {
        if self.entries.is_empty() {
            let message = "There should be at least one entry in the request.";
            return Err(Fault::new(400, "EmptyBatchRequest", message)
                .with_query_code("AWS.SimpleQueueService.EmptyBatchRequest"));
        }
        if self.entries.len() > BATCH_MAX {
            let message = format!("Maximum number of entries per request are {BATCH_MAX}.");
            return Err(Fault::new(400, "TooManyEntriesInBatchRequest", message)
                .with_query_code("AWS.SimpleQueueService.TooManyEntriesInBatchRequest"));
        }
        let mut seen = BTreeSet::new();
        for BatchEntry { id, .. } in &self.entries {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if !(1..=80).contains(&id.len()) || !id.bytes().all(allowed) {
                let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
                    It can be at most 80 letters long.";
                return Err(Fault::new(400, "InvalidBatchEntryId", message)
                    .with_query_code("AWS.SimpleQueueService.InvalidBatchEntryId"));
            }
            if !seen.insert(id) {
                return Err(Fault::new(400, "BatchEntryIdsNotDistinct", format!("Id {id} repeated."))
                    .with_query_code("AWS.SimpleQueueService.BatchEntryIdsNotDistinct"));
            }
        }
        Ok(())
    }
}

impl ReceiveMessage {
    /// Checks the request against SQS's limits.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        within("MaxNumberOfMessages", self.max_number_of_messages.unwrap_or(1), 1, BATCH_MAX as i64)?;
        within("WaitTimeSeconds", self.wait_time_seconds.unwrap_or(0), 0, WAIT_SECONDS_MAX)?;
        within("VisibilityTimeout", self.visibility_timeout.unwrap_or(0), 0, VISIBILITY_SECONDS_MAX)
    }

    /// Returns the most messages to receive.
    pub(super) fn count_max(&self) -> usize {
        usize::try_from(self.max_number_of_messages.unwrap_or(1)).unwrap_or(1)
    }

    /// Returns how long to wait if there is no message, in seconds.
    pub(crate) fn wait_seconds(&self) -> u64 {
        u64::try_from(self.wait_time_seconds.unwrap_or(0)).unwrap_or(0)
    }

    /// Returns how long the messages stay hidden, in milliseconds, or `None` if the queue's setting applies.
    pub(super) fn visibility_ms(&self) -> Option<i64> {
        self.visibility_timeout.map(|seconds| seconds.saturating_mul(1000))
    }

    /// Whether the answer includes this system attribute.
    pub(super) fn wants(&self, attribute: &str) -> bool {
        let mut names = self.attribute_names.iter().chain(&self.message_system_attribute_names);
        names.any(|name| name == "All" || name == attribute)
    }

    /// Whether the answer includes this message attribute.
    pub(super) fn wants_message_attribute(&self, attribute: &str) -> bool {
        self.message_attribute_names.iter().any(|name| match name.strip_suffix(".*") {
            Some(prefix) => attribute.starts_with(prefix),
            None => name == "All" || name == attribute,
        })
    }
}

impl Visibility {
    /// Returns how long the message stays hidden, in milliseconds.
    pub(super) fn visibility_ms(&self) -> Result<i64, Fault> {
        within("VisibilityTimeout", self.visibility_timeout, 0, VISIBILITY_SECONDS_MAX)?;
        Ok(self.visibility_timeout * 1000)
    }
}

/// Creates the error for a value that SQS does not accept.
pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(400, "InvalidParameterValueException", message).with_query_code("InvalidParameterValue")
}

fn within(parameter: &str, value: i64, min: i64, max: i64) -> Result<(), Fault> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(invalid(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: Must be between {min} and {max}, if provided."
    )))
}

/// Whether SQS accepts the character. It accepts those that XML 1.0 allows.
fn is_allowed(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        other => other >= ' ' && other != '\u{fffe}' && other != '\u{ffff}',
    }
}
