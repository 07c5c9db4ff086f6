//! What stood in the tables a moment ago: a read that need not be consistent may be answered with that.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use strict_aws::call::{Call, Service, key_text};

use crate::world::World;

/// How long a write may go unseen.
const STALE_MAX_MS: i64 = 2_000;

/// Each item as every write left it, by [`key_text`]; `None` where it was deleted.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<BTreeMap<String, Vec<(i64, Option<Value>)>>>);

impl History {
    fn note(&self, key: String, at_ms: i64, item: Option<Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().push((at_ms, item));
    }

    /// What the item was at `at_ms`: before its first write it was not there.
    fn at(&self, key: &str, at_ms: i64) -> Past {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writes) = writes.get(key).filter(|writes| writes.iter().any(|(write_ms, _)| *write_ms > at_ms)) else {
            return Past::Present;
        };
        let before = writes.iter().rev().find(|(write_ms, _)| *write_ms <= at_ms);
        before.and_then(|(_, item)| item.clone()).map_or(Past::Absent, Past::Other)
    }
}

/// What an item was.
#[derive(Debug, PartialEq, Eq)]
enum Past {
    /// What it is.
    Present,
    /// Something else.
    Other(Value),
    /// It was not there.
    Absent,
}

impl World {
    /// Notes what a write has left.
    pub(crate) async fn note_history(&self, call: &Call) {
        if !self.plan.stale_reads {
            return;
        }
        let item = match call.operation.as_str() {
            "PutItem" => Some(call.body["Item"].clone()),
            "DeleteItem" => None,
            "UpdateItem" => {
                let read =
                    json!({"TableName": call.body["TableName"], "Key": call.body["Key"], "ConsistentRead": true});
                Some(self.ask(Service::DynamoDb, "GetItem", &read).await["Item"].clone())
            }
            _ => return,
        };
        self.history.note(call.subject.clone(), self.now_ms(), item);
    }

    /// Puts what was in place of what is in the answer to a read that need not be consistent; whether there was any.
    pub(crate) fn make_stale(&self, call: &Call, answer: &mut HttpResponse) -> bool {
        let is_read = matches!(call.operation.as_str(), "GetItem" | "Query" | "BatchGetItem");
        if !self.plan.stale_reads || self.is_calm() || !is_read {
            return false;
        }
        let at_ms = self.now_ms() - self.dice.between(0, STALE_MAX_MS);
        let mut body: Value = serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
        let mut changed = false;
        let table = call.body["TableName"].as_str().unwrap_or_default();
        match call.operation.as_str() {
            "GetItem" if call.body["ConsistentRead"] != true => {
                let past = self.history.at(&call.subject, at_ms);
                changed = past != Past::Present;
                match past {
                    Past::Present => {}
                    Past::Other(item) => body = json!({"Item": project(item, &call.body)}),
                    Past::Absent => body = json!({}),
                }
            }
            "Query" if call.body["ConsistentRead"] != true => {
                changed = self.age(table, &call.body, &mut body["Items"], at_ms);
                body["Count"] = json!(body["Items"].as_array().map_or(0, Vec::len));
            }
            "BatchGetItem" => {
                for (table, wanted) in call.body["RequestItems"].as_object().into_iter().flatten() {
                    if wanted["ConsistentRead"] != true && body["Responses"].get(table).is_some() {
                        changed |= self.age(table, wanted, &mut body["Responses"][table], at_ms);
                    }
                }
            }
            _ => {}
        }
        if changed {
            *answer.body_mut() = SdkBody::from(body.to_string());
        }
        changed
    }

    /// Makes items what they were; whether any was another.
    fn age(&self, table: &str, request: &Value, items: &mut Value, at_ms: i64) -> bool {
        let Some(items) = items.as_array_mut() else { return false };
        let mut changed = false;
        *items = std::mem::take(items)
            .into_iter()
            .filter_map(|item| match self.history.at(&key_text(table, &item), at_ms) {
                Past::Present => Some(item),
                Past::Other(before) => {
                    changed = true;
                    Some(project(before, request))
                }
                Past::Absent => {
                    changed = true;
                    None
                }
            })
            .collect();
        changed
    }
}

/// The attributes of an item that a request asks for.
fn project(mut item: Value, request: &Value) -> Value {
    if let (Some(expression), Some(item)) = (request["ProjectionExpression"].as_str(), item.as_object_mut()) {
        let names = expression.split(',').map(str::trim);
        let names: Vec<_> =
            names.map(|name| request["ExpressionAttributeNames"][name].as_str().unwrap_or(name)).collect();
        item.retain(|name, _| names.contains(&name.as_str()));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_lately_may_not_be_seen_yet() {
        let history = History::default();
        history.note("a".to_owned(), 1_000, Some(json!(1)));
        history.note("a".to_owned(), 3_000, Some(json!(2)));
        history.note("a".to_owned(), 5_000, None);
        assert_eq!(history.at("a", 500), Past::Absent);
        assert_eq!(history.at("a", 4_000), Past::Other(json!(2)));
        assert_eq!(history.at("a", 5_000), Past::Present);
        assert_eq!(history.at("b", 500), Past::Present);
    }

    #[test]
    fn a_stale_item_has_what_was_asked_for() {
        let request = json!({"ProjectionExpression": "#id, status", "ExpressionAttributeNames": {"#id": "id"}});
        let item = json!({"id": {"S": "a"}, "status": {"S": "held"}, "payload": {"S": "x"}});
        assert_eq!(project(item, &request), json!({"id": {"S": "a"}, "status": {"S": "held"}}));
    }
}
