//! Throughput: a partition of a table, and a queue, take so much a second; what comes on top of that is refused. AWS allows
//! 3,000 read and 1,000 write units a partition, which no seed comes near: some seeds have few.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use strict_aws::call::{Call, Service};
use strict_aws::grants::{partition_of, queried_partition};
use strict_aws::limits::item_bytes;

use crate::world::World;

/// What a read unit reads consistently.
const READ_UNIT_BYTES: usize = 4 * 1024;
/// What a write unit writes.
const WRITE_UNIT_BYTES: usize = 1024;

/// Units used of each partition in its latest second, in halves: a read that may be stale costs half.
#[derive(Debug, Default)]
pub(crate) struct Throughput(Mutex<BTreeMap<Meter, (i64, u32)>>);

/// What has a throughput of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meter {
    Reads(String),
    Writes(String),
    Messages(String),
}

fn partition(table: &str, key: &Value) -> String {
    format!("{table}/{}", partition_of(table, key))
}

/// The meter of a call about one partition, or one queue.
fn meter(call: &Call) -> Option<Meter> {
    let table = call.body["TableName"].as_str().unwrap_or_default();
    let meter = match (call.service, call.operation.as_str()) {
        (Service::DynamoDb, "GetItem") => Meter::Reads(partition(table, &call.body["Key"])),
        (Service::DynamoDb, "Query") => Meter::Reads(format!("{table}/{}", queried_partition(&call.body))),
        (Service::DynamoDb, "PutItem") => Meter::Writes(partition(table, &call.body["Item"])),
        (Service::DynamoDb, "UpdateItem" | "DeleteItem") => Meter::Writes(partition(table, &call.body["Key"])),
        (Service::Sqs, "SendMessage" | "SendMessageBatch") => Meter::Messages(call.subject.clone()),
        _ => return None,
    };
    Some(meter)
}

fn read_halves(items: &[Value], consistent: bool) -> u32 {
    let bytes: usize = items.iter().map(item_bytes).sum();
    bytes.div_ceil(READ_UNIT_BYTES).max(1) as u32 * if consistent { 2 } else { 1 }
}

impl World {
    /// Units a second that are left to a meter; `None` where the seed has no limit, or none now.
    fn units_left(&self, meter: &Meter) -> Option<u32> {
        let limit = self.plan.units_a_second.filter(|_| !self.is_calm())?;
        let second = self.now_ms() / 1000;
        let used = self.throughput.0.lock().unwrap_or_else(PoisonError::into_inner);
        let halves = used.get(meter).filter(|(at, _)| *at == second).map_or(0, |(_, halves)| *halves);
        Some(limit.saturating_sub(halves / 2))
    }

    fn use_halves(&self, meter: Meter, halves: u32) {
        let second = self.now_ms() / 1000;
        let mut used = self.throughput.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = used.entry(meter).or_default();
        *entry = if entry.0 == second { (second, entry.1 + halves) } else { (second, halves) };
    }

    /// Whether a call about one partition, or a single message, comes on top of what is taken.
    pub(crate) fn is_too_much(&self, call: &Call) -> bool {
        call.operation != "SendMessageBatch" && meter(call).is_some_and(|meter| self.units_left(&meter) == Some(0))
    }

    /// The keys of a `BatchGetItem` whose partitions take no more.
    pub(crate) fn keys_too_many(&self, call: &Call) -> Vec<String> {
        let keys = call.keys().into_iter();
        let too_many = keys.filter(|key| {
            let partition = key.rsplit_once('/').map_or(key.as_str(), |(partition, _)| partition);
            self.units_left(&Meter::Reads(partition.to_owned())) == Some(0)
        });
        too_many.collect()
    }

    /// Messages of a batch that come on top of what the queue takes.
    pub(crate) fn messages_too_many(&self, call: &Call) -> usize {
        let entries = call.body["Entries"].as_array().map_or(0, Vec::len);
        let left = self.units_left(&Meter::Messages(call.subject.clone()));
        left.map_or(0, |left| entries.saturating_sub(left as usize))
    }

    /// Counts what a call used, by its answer.
    pub(crate) fn count_units(&self, call: &Call, answer: impl FnOnce() -> Value) {
        if self.plan.units_a_second.is_none() {
            return;
        }
        if call.operation == "BatchGetItem" {
            let answer = answer();
            for key in call.keys() {
                let partition = key.rsplit_once('/').map_or(key.as_str(), |(partition, _)| partition);
                self.use_halves(Meter::Reads(partition.to_owned()), 2);
            }
            // What an item weighs beyond the first unit.
            for (table, items) in answer["Responses"].as_object().into_iter().flatten() {
                for item in items.as_array().into_iter().flatten() {
                    let further = read_halves(std::slice::from_ref(item), true) - 2;
                    self.use_halves(Meter::Reads(partition(table, item)), further);
                }
            }
            return;
        }
        let Some(meter) = meter(call) else { return };
        let consistent = call.body["ConsistentRead"] == true;
        let halves = match call.operation.as_str() {
            "GetItem" => read_halves(&[answer()["Item"].clone()], consistent),
            "Query" => read_halves(answer()["Items"].as_array().map(Vec::as_slice).unwrap_or_default(), consistent),
            "PutItem" => 2 * item_bytes(&call.body["Item"]).div_ceil(WRITE_UNIT_BYTES).max(1) as u32,
            "SendMessageBatch" => 2 * call.body["Entries"].as_array().map_or(0, Vec::len) as u32,
            _ => 2,
        };
        self.use_halves(meter, halves);
    }
}
