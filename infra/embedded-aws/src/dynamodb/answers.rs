//! The JSON of answers.

use super::requests::Consumed;
use crate::wire::Reply;
use std::fmt::Write;

/// The answer to a request, as far as it is written.
pub(super) struct Answer(String);

impl Answer {
    /// Begins an answer.
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Begins the member `name`, and returns the JSON to which its value must be appended.
    pub(super) fn member(&mut self, name: &str) -> &mut String {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{name}\":");
        &mut self.0
    }

    /// Appends the member `name` with a value that is JSON.
    pub(super) fn with(mut self, name: &str, json: Option<&str>) -> Self {
        if let Some(json) = json {
            self.member(name).push_str(json);
        }
        self
    }

    /// Appends the units that a request to `table` has consumed, if it asked for them.
    pub(super) fn with_consumed(mut self, consumed: Consumed, table: &str, units: f64) -> Self {
        if consumed == Consumed::Total {
            let json = consumed_json(table, units);
            self.member("ConsumedCapacity").push_str(&json);
        }
        self
    }

    /// Ends a successful answer.
    pub(super) fn end(mut self) -> Reply {
        self.0.push('}');
        Reply::ok(self.0)
    }
}

/// Returns the units that a request to `table` has consumed. A table's name needs no escapes.
pub(super) fn consumed_json(table: &str, units: f64) -> String {
    format!(r#"{{"TableName":"{table}","CapacityUnits":{units:?}}}"#)
}

/// Returns the answer to a write whose condition failed, with the item that is stored, if the request asked for it.
pub(super) fn refused(item: Option<&str>) -> Reply {
    let answer = Answer::new()
        .with("__type", Some("\"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException\""))
        .with("message", Some("\"The conditional request failed\""))
        .with("Item", item);
    Reply { status: 400, ..answer.end() }
}
