//! Older states of the items in the tables. A read that need not be consistent may be answered with
//! one of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use strict_aws::call::{Call, Service, key_text};

use crate::world::World;

/// How long a write may stay invisible to inconsistent reads.
const STALE_MAX_MS: i64 = 2_000;

/// Each item after each of its writes, by [`key_text`]: the time of the write, and the item, or
/// `None` after a deletion.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<BTreeMap<String, Vec<(i64, Option<Value>)>>>);

impl History {
    fn add(&self, key: String, at_ms: i64, item: Option<Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().push((at_ms, item));
    }

    /// Returns what the item was at `at_ms`, compared with now. Before its first write it was
    /// absent.
    fn at(&self, key: &str, at_ms: i64) -> Past {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writes) = writes.get(key).filter(|writes| writes.iter().any(|(write_ms, _)| *write_ms > at_ms)) else {
            return Past::Unchanged;
        };
        let before = writes.iter().rev().find(|(write_ms, _)| *write_ms <= at_ms);
        before.and_then(|(_, item)| item.clone()).map_or(Past::Absent, Past::Different)
    }
}

/// What an item was at an earlier moment.
#[derive(Debug, PartialEq, Eq)]
enum Past {
    /// The same as now.
    Unchanged,
    /// This.
    Different(Value),
    /// The item did not exist.
    Absent,
}

impl World {
    /// Records the item as a write has left it.
    pub(crate) async fn record_history(&self, call: &Call) {
        if !self.plan.stale_reads {
            return;
        }
        let item = match call.operation.as_str() {
            "PutItem" => Some(call.body["Item"].clone()),
            "DeleteItem" => None,
            "UpdateItem" => {
                let read =
                    json!({"TableName": call.body["TableName"], "Key": call.body["Key"], "ConsistentRead": true});
                Some(self.call_aws(Service::DynamoDb, "GetItem", &read).await["Item"].clone())
            }
            _ => return,
        };
        self.history.add(call.subject.clone(), self.now_ms(), item);
    }

    /// Puts older items into the answer to a read that need not be consistent. Returns whether any
    /// item has changed.
    pub(crate) fn make_stale(&self, call: &Call, answer: &mut HttpResponse) -> bool {
        let is_read = matches!(call.operation.as_str(), "GetItem" | "Query" | "BatchGetItem");
        if !self.plan.stale_reads || !self.injects_faults() || !is_read {
            return false;
        }
        let at_ms = self.now_ms() - self.dice.between(0, STALE_MAX_MS);
        let mut body: Value = serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
        let mut changed = false;
        let table = call.body["TableName"].as_str().unwrap_or_default();
        match call.operation.as_str() {
            "GetItem" if call.body["ConsistentRead"] != true => {
                let past = self.history.at(&call.subject, at_ms);
                changed = past != Past::Unchanged;
                match past {
                    Past::Unchanged => {}
                    Past::Different(item) => body = json!({"Item": project(item, &call.body)}),
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

    /// Replaces items with what they were at `at_ms`. Returns whether any item has changed.
    fn age(&self, table: &str, request: &Value, items: &mut Value, at_ms: i64) -> bool {
        let Some(items) = items.as_array_mut() else { return false };
        let mut changed = false;
        *items = std::mem::take(items)
            .into_iter()
            .filter_map(|item| match self.history.at(&key_text(table, &item), at_ms) {
                Past::Unchanged => Some(item),
                Past::Different(before) => {
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

/// Reduces an item to the attributes that a request asks for.
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
    fn an_earlier_state_is_found_by_its_time() {
        let history = History::default();
        history.add("a".to_owned(), 1_000, Some(json!(1)));
        history.add("a".to_owned(), 3_000, Some(json!(2)));
        history.add("a".to_owned(), 5_000, None);
        assert_eq!(history.at("a", 500), Past::Absent);
        assert_eq!(history.at("a", 4_000), Past::Different(json!(2)));
        assert_eq!(history.at("a", 5_000), Past::Unchanged);
        assert_eq!(history.at("b", 500), Past::Unchanged);
    }

    #[test]
    fn a_stale_item_has_only_the_requested_attributes() {
        let request = json!({"ProjectionExpression": "#id, status", "ExpressionAttributeNames": {"#id": "id"}});
        let item = json!({"id": {"S": "a"}, "status": {"S": "held"}, "payload": {"S": "x"}});
        assert_eq!(project(item, &request), json!({"id": {"S": "a"}, "status": {"S": "held"}}));
    }
}
