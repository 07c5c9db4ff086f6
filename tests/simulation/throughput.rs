//! Throttling: a partition of a table and a queue accept a limited number of units a second and
//! refuse the rest. AWS allows 3,000 read units and 1,000 write units a second in one partition. No
//! seed comes near that, so some seeds have a much lower limit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use strict_aws::call::{Call, Service};
use strict_aws::grants::{partition_of, queried_partition};
use strict_aws::limits::item_bytes;

use crate::world::World;

/// Bytes that one read unit reads consistently.
const READ_UNIT_BYTES: usize = 4 * 1024;
/// Bytes that one write unit writes.
const WRITE_UNIT_BYTES: usize = 1024;

/// For each meter, its latest second and the half units used in it. Half units, because a read that
/// need not be consistent costs half of a unit.
#[derive(Debug, Default)]
pub(crate) struct Throughput(Mutex<BTreeMap<Meter, (i64, u32)>>);

/// Something with a limit of its own: the reads or the writes of a partition, or the messages of a
/// queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meter {
    Reads(String),
    Writes(String),
    Messages(String),
}

fn partition(table: &str, key: &Value) -> String {
    format!("{table}/{}", partition_of(table, key))
}

/// Returns the meter of a call about one partition or one queue.
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

fn read_half_units(items: &[Value], consistent: bool) -> u32 {
    let bytes: usize = items.iter().map(item_bytes).sum();
    bytes.div_ceil(READ_UNIT_BYTES).max(1) as u32 * if consistent { 2 } else { 1 }
}

impl World {
    /// Returns the units that a meter has left in this second; `None` without a limit.
    fn units_left(&self, meter: &Meter) -> Option<u32> {
        let limit = self.plan.units_a_second.filter(|_| self.injects_faults())?;
        let second = self.now_ms() / 1000;
        let used = self.throughput.0.lock().unwrap_or_else(PoisonError::into_inner);
        let halves = used.get(meter).filter(|(at, _)| *at == second).map_or(0, |(_, halves)| *halves);
        Some(limit.saturating_sub(halves / 2))
    }

    fn use_half_units(&self, meter: Meter, halves: u32) {
        let second = self.now_ms() / 1000;
        let mut used = self.throughput.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = used.entry(meter).or_default();
        *entry = if entry.0 == second { (second, entry.1 + halves) } else { (second, halves) };
    }

    /// Whether a call about one partition, or a single message, exceeds the limit of this second.
    pub(crate) fn exceeds_throughput(&self, call: &Call) -> bool {
        call.operation != "SendMessageBatch" && meter(call).is_some_and(|meter| self.units_left(&meter) == Some(0))
    }

    /// Returns the keys of a `BatchGetItem` whose partitions have no units left in this second.
    pub(crate) fn throttled_keys(&self, call: &Call) -> Vec<String> {
        let keys = call.keys().into_iter();
        let throttled = keys.filter(|key| {
            let partition = key.rsplit_once('/').map_or(key.as_str(), |(partition, _)| partition);
            self.units_left(&Meter::Reads(partition.to_owned())) == Some(0)
        });
        throttled.collect()
    }

    /// Returns how many messages of a batch exceed the limit of the queue in this second.
    pub(crate) fn throttled_messages(&self, call: &Call) -> usize {
        let entries = call.body["Entries"].as_array().map_or(0, Vec::len);
        let left = self.units_left(&Meter::Messages(call.subject.clone()));
        left.map_or(0, |left| entries.saturating_sub(left as usize))
    }

    /// Counts the units that a call has used; `answer` is the body of its answer.
    pub(crate) fn count_units(&self, call: &Call, answer: impl FnOnce() -> Value) {
        if self.plan.units_a_second.is_none() {
            return;
        }
        if call.operation == "BatchGetItem" {
            let answer = answer();
            for key in call.keys() {
                let partition = key.rsplit_once('/').map_or(key.as_str(), |(partition, _)| partition);
                self.use_half_units(Meter::Reads(partition.to_owned()), 2);
            }
            // Each key has cost one unit above. These are the further units of large items.
            for (table, items) in answer["Responses"].as_object().into_iter().flatten() {
                for item in items.as_array().into_iter().flatten() {
                    let further = read_half_units(std::slice::from_ref(item), true) - 2;
                    self.use_half_units(Meter::Reads(partition(table, item)), further);
                }
            }
            return;
        }
        let Some(meter) = meter(call) else { return };
        let consistent = call.body["ConsistentRead"] == true;
        let halves = match call.operation.as_str() {
            "GetItem" => read_half_units(&[answer()["Item"].clone()], consistent),
            "Query" => read_half_units(answer()["Items"].as_array().map(Vec::as_slice).unwrap_or_default(), consistent),
            "PutItem" => 2 * item_bytes(&call.body["Item"]).div_ceil(WRITE_UNIT_BYTES).max(1) as u32,
            "SendMessageBatch" => 2 * call.body["Entries"].as_array().map_or(0, Vec::len) as u32,
            _ => 2,
        };
        self.use_half_units(meter, halves);
    }
}
