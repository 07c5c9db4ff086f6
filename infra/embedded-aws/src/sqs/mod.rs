//! SQS: standard queues with visibility timeouts, delays, dead-letter queues and fair order between message groups, over the
//! service's JSON protocol.
//!
//! The [`log`] holds the messages in the file. The [`index`] holds the same messages in memory, in the order in which they are
//! received. A request first changes the log, then the index, and is answered after the commit.
//!
//! FIFO queues and MD5 sums are left out (the SDK for Rust does not check the sums). Messages have no retention period: they
//! stay until they are deleted.

mod index;
mod log;
mod shapes;

pub(super) use log::SCHEMA;
pub(super) use shapes::ReceiveMessage;

use super::{
    ACCOUNT, REGION,
    wire::{Fault, read},
};
use anyhow::Context;
use domain::time::Clock;
use index::{Added, Entry, Index, MessageState};
use log::{Log, Received};
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use shapes::{
    Batch, BatchEntry, GetQueueAttributes, GetQueueUrl, Outgoing, PurgeQueue, Receipt, SendMessage, Single, Visibility,
    invalid,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// The settings of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAttributes {
    /// How long a received message stays hidden from other receivers, at most 12 h.
    pub visibility_timeout: Duration,
    /// How often a message is received before it moves to the dead-letter queue.
    pub max_receive_count: u32,
    /// The name of the dead-letter queue. Without one, a message is received until it is deleted.
    pub dead_letter_queue: Option<String>,
}

/// A visibility timeout of 30 s, as in AWS, and no dead-letter queue.
impl Default for QueueAttributes {
    fn default() -> Self {
        Self { visibility_timeout: Duration::from_secs(30), max_receive_count: 10, dead_letter_queue: None }
    }
}

/// All queues.
pub(super) struct Queues {
    clock: Clock,
    queues: BTreeMap<String, Queue>,
}

struct Queue {
    settings: QueueAttributes,
    index: Index,
    /// Notified when a message may be visible earlier than was known.
    changed: Arc<Notify>,
}

/// The result of one entry of a batch: the fields of its line in the answer, without the id.
type Outcome = Result<Value, Fault>;

/// What a look at a queue found.
pub(super) struct Polled {
    /// The messages that were received, as the answer shows them.
    pub(super) messages: Vec<Value>,
    /// How long it takes until the next hidden message becomes visible.
    pub(super) until_visible: Option<Duration>,
}

impl Queues {
    /// Returns what is notified when a message of the queue at `url` may be visible earlier than was known.
    pub(super) fn changed(&mut self, url: &str) -> Result<Arc<Notify>, Fault> {
        Ok(Arc::clone(&self.queue(url)?.changed))
    }

    /// Receives the messages that are visible now.
    pub(super) fn poll(&mut self, connection: &Connection, request: &ReceiveMessage) -> Result<Polled, Fault> {
        let (messages, until_visible) = self.receive(Log(connection), request)?;
        let messages = messages.into_iter().map(|message| show(message, request)).collect();
        Ok(Polled { messages, until_visible })
    }

    /// Loads the queues from the file.
    pub(super) fn load(connection: &Connection, clock: Clock) -> anyhow::Result<Self> {
        let mut queues = Self { clock, queues: BTreeMap::new() };
        queues.reload(connection)?;
        Ok(queues)
    }

    /// Replaces the state in memory by what the file holds.
    pub(super) fn reload(&mut self, connection: &Connection) -> anyhow::Result<()> {
        let (log, now_ms) = (Log(connection), self.now_ms());
        let mut before = std::mem::take(&mut self.queues);
        for (name, settings) in log.queues()? {
            // Calls that wait for messages keep waiting on the same `Notify`, which is notified below.
            let changed = before.remove(&name).map(|queue| queue.changed).unwrap_or_default();
            self.queues.insert(name, Queue { settings, index: Index::default(), changed });
        }
        for stored in log.messages()? {
            let queue = self.queues.get_mut(&stored.queue).context("a stored message belongs to no queue")?;
            let group = stored.group.as_deref().unwrap_or_default();
            let added = Added { visible_ms: stored.visible_ms, receive_count: stored.receive_count };
            queue.index.insert(stored.id, group, added, now_ms);
        }
        self.queues.values().for_each(|queue| queue.changed.notify_waiters());
        Ok(())
    }

    /// See [`EmbeddedAws::create_queue`](super::EmbeddedAws::create_queue).
    pub(super) fn create(
        &mut self,
        connection: &Connection,
        name: &str,
        settings: QueueAttributes,
    ) -> anyhow::Result<()> {
        if let Some(dead_letter_queue) = &settings.dead_letter_queue {
            anyhow::ensure!(self.queues.contains_key(dead_letter_queue), "there is no queue {dead_letter_queue}");
            anyhow::ensure!(dead_letter_queue != name, "the queue {name} cannot be its own dead-letter queue");
        }
        Log(connection).put_queue(name, &settings)?;
        match self.queues.get_mut(name) {
            Some(queue) => queue.settings = settings,
            None => {
                self.queues.insert(name.to_owned(), Queue::new(settings));
            }
        }
        Ok(())
    }

    /// Answers a request for any action except `ReceiveMessage`.
    pub(super) fn call(&mut self, connection: &Connection, action: &str, body: &[u8]) -> Result<String, Fault> {
        let log = Log(connection);
        match action {
            "SendMessage" => self.send_one(log, &read(body)?),
            "SendMessageBatch" => self.send_batch(log, read(body)?),
            "DeleteMessage" => self.delete_one(log, &read(body)?),
            "DeleteMessageBatch" => self.delete_batch(log, read(body)?),
            "ChangeMessageVisibility" => self.change_visibility_one(log, &read(body)?),
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(log, read(body)?),
            "GetQueueAttributes" => self.queue_attributes(&read(body)?),
            "GetQueueUrl" => self.look_up(&read(body)?),
            "PurgeQueue" => self.purge(log, &read(body)?),
            other => Err(Fault::unknown_operation(other)),
        }
    }

    fn send_one(&mut self, log: Log<'_>, request: &SendMessage) -> Result<String, Fault> {
        request.message.check()?;
        let ids = self.send(log, &request.queue_url, &[&request.message])?;
        Ok(json!({"MessageId": ids.first().map(|id| message_id(*id))}).to_string())
    }

    fn send_batch(&mut self, log: Log<'_>, request: Batch<Outgoing>) -> Result<String, Fault> {
        request.check_ids()?;
        request.check_size()?;
        let checked: Vec<_> = request.entries.iter().map(|entry| entry.entry.check()).collect();
        let good = request.entries.iter().zip(&checked).filter(|(_, check)| check.is_ok());
        let messages: Vec<_> = good.map(|(entry, _)| &entry.entry).collect();
        let mut ids = self.send(log, &request.queue_url, &messages)?.into_iter();
        let outcomes: Vec<Outcome> =
            checked.into_iter().map(|check| check.map(|()| json!({"MessageId": ids.next().map(message_id)}))).collect();
        Ok(batch_answer(request.entries, outcomes))
    }

    fn delete_one(&mut self, log: Log<'_>, request: &Single<Receipt>) -> Result<String, Fault> {
        let mut outcomes = self.delete(log, &request.queue_url, &[&request.entry.receipt_handle])?;
        outcomes.pop().unwrap_or(Ok(json!({})))?;
        Ok("{}".to_owned())
    }

    fn delete_batch(&mut self, log: Log<'_>, request: Batch<Receipt>) -> Result<String, Fault> {
        request.check_ids()?;
        let receipts: Vec<_> = request.entries.iter().map(|entry| entry.entry.receipt_handle.as_str()).collect();
        let outcomes = self.delete(log, &request.queue_url, &receipts)?;
        Ok(batch_answer(request.entries, outcomes))
    }

    fn change_visibility_one(&mut self, log: Log<'_>, request: &Single<Visibility>) -> Result<String, Fault> {
        self.change_visibility(log, &request.queue_url, &request.entry)?;
        Ok("{}".to_owned())
    }

    fn change_visibility_batch(&mut self, log: Log<'_>, request: Batch<Visibility>) -> Result<String, Fault> {
        request.check_ids()?;
        self.queue(&request.queue_url)?;
        let change = |entry: &BatchEntry<Visibility>| self.change_visibility(log, &request.queue_url, &entry.entry);
        let outcomes = request.entries.iter().map(change).collect();
        Ok(batch_answer(request.entries, outcomes))
    }

    fn queue_attributes(&mut self, request: &GetQueueAttributes) -> Result<String, Fault> {
        let now_ms = self.now_ms();
        let queue = self.queue(&request.queue_url)?;
        queue.index.advance(now_ms);
        let mut attributes = queue.attributes(name_in(&request.queue_url));
        attributes.retain(|name, _| request.attribute_names.iter().any(|wanted| wanted == "All" || wanted == name));
        Ok(json!({"Attributes": attributes}).to_string())
    }

    fn look_up(&mut self, request: &GetQueueUrl) -> Result<String, Fault> {
        let url = queue_url(&request.queue_name);
        self.queue(&url)?;
        Ok(json!({"QueueUrl": url}).to_string())
    }

    fn purge(&mut self, log: Log<'_>, request: &PurgeQueue) -> Result<String, Fault> {
        let queue = self.queue(&request.queue_url)?;
        log.purge(name_in(&request.queue_url))?;
        queue.index = Index::default();
        Ok("{}".to_owned())
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().unix_ms()
    }

    fn queue(&mut self, url: &str) -> Result<&mut Queue, Fault> {
        find(&mut self.queues, url)
    }

    fn send(&mut self, log: Log<'_>, url: &str, messages: &[&Outgoing]) -> Result<Vec<i64>, Fault> {
        let now_ms = self.now_ms();
        let queue = self.queue(url)?;
        let ids = log.insert(name_in(url), messages, now_ms)?;
        for (id, message) in ids.iter().zip(messages) {
            let group = message.message_group_id.as_deref().unwrap_or_default();
            let added = Added { visible_ms: message.visible_ms(now_ms), receive_count: 0 };
            queue.index.insert(*id, group, added, now_ms);
        }
        queue.changed.notify_waiters();
        Ok(ids)
    }

    /// Receives messages. Also returns how long it takes until the next hidden message becomes visible.
    fn receive(&mut self, log: Log<'_>, request: &ReceiveMessage) -> Result<(Vec<Received>, Option<Duration>), Fault> {
        let now_ms = self.now_ms();
        let queue = self.queue(&request.queue_url)?;
        queue.index.advance(now_ms);
        let timeout_ms = i64::try_from(queue.settings.visibility_timeout.as_millis()).unwrap_or(i64::MAX);
        let visible_ms = now_ms.saturating_add(request.visibility_ms().unwrap_or(timeout_ms));
        let (mut ids, mut dead) = (Vec::new(), Vec::new());
        while ids.len() < request.count_max()
            && let Some((id, entry)) = queue.index.next()
        {
            if queue.settings.dead_letter_queue.is_some() && entry.receive_count >= queue.settings.max_receive_count {
                dead.extend(queue.index.remove(id).map(|entry| (id, entry)));
            } else {
                queue.index.receive(id, visible_ms);
                ids.push(id);
            }
        }
        let next_visible_ms = queue.index.next_visible_ms();
        let dead_letter_queue = queue.settings.dead_letter_queue.clone();
        if let Some(name) = dead_letter_queue.filter(|_| !dead.is_empty()) {
            self.move_to_dead_letters(log, &name, dead, now_ms)?;
        }
        let messages = if ids.is_empty() { Vec::new() } else { log.receive(&ids, now_ms)? };
        let until_visible = next_visible_ms.and_then(|visible_ms| u64::try_from(visible_ms - now_ms).ok());
        Ok((messages, until_visible.map(Duration::from_millis)))
    }

    /// Moves messages to the dead-letter queue `name`.
    fn move_to_dead_letters(
        &mut self,
        log: Log<'_>,
        name: &str,
        dead: Vec<(i64, Entry)>,
        now_ms: i64,
    ) -> Result<(), Fault> {
        let ids: Vec<_> = dead.iter().map(|(id, _)| *id).collect();
        log.move_to(name, &ids)?;
        let queue = self.queue(name)?;
        for (id, entry) in dead {
            let added = Added { visible_ms: entry.visible_ms, receive_count: entry.receive_count };
            queue.index.insert(id, &entry.group, added, now_ms);
        }
        queue.changed.notify_waiters();
        Ok(())
    }

    /// Deletes the messages that the receipts stand for. If a message has been received again since, its old receipt is
    /// accepted but does nothing.
    fn delete(&mut self, log: Log<'_>, url: &str, receipts: &[&str]) -> Result<Vec<Outcome>, Fault> {
        let queue = self.queue(url)?;
        let found: Vec<_> = receipts.iter().map(|receipt| queue.holder(receipt)).collect();
        let ids: Vec<_> = found.iter().flatten().flatten().copied().collect();
        log.delete(&ids)?;
        for id in ids {
            queue.index.remove(id);
        }
        if queue.index.counts().visible > 0 {
            // The group has fewer messages in flight, so its next message may be received now.
            queue.changed.notify_waiters();
        }
        Ok(found.into_iter().map(|found| found.map(|_| json!({}))).collect())
    }

    /// Hides a message in flight for as long as the request says. This is stored, so it survives the process.
    fn change_visibility(&mut self, log: Log<'_>, url: &str, request: &Visibility) -> Outcome {
        let now_ms = self.now_ms();
        let visible_ms = now_ms.saturating_add(request.visibility_ms()?);
        let queue = self.queue(url)?;
        queue.index.advance(now_ms);
        let Some(id) = queue.holder(&request.receipt_handle)? else {
            return Err(invalid("Reason: Message does not exist or is not available for visibility timeout change."));
        };
        if queue.index.get(id).is_none_or(|entry| entry.state != MessageState::InFlight) {
            return Err(Fault::new(400, "MessageNotInflight", "The message is not in flight.")
                .with_query_code("AWS.SimpleQueueService.MessageNotInflight"));
        }
        log.hide(id, visible_ms)?;
        queue.index.hide(id, visible_ms, now_ms);
        queue.changed.notify_waiters();
        Ok(json!({}))
    }
}

impl Queue {
    fn new(settings: QueueAttributes) -> Self {
        Self { settings, index: Index::default(), changed: Arc::default() }
    }

    /// Returns the message for which this is the latest receipt, if the message still exists.
    fn holder(&self, receipt: &str) -> Result<Option<i64>, Fault> {
        let parse = || {
            let (id, receive_count) = receipt.split_once('.')?;
            Some((id.parse::<i64>().ok()?, receive_count.parse::<u32>().ok()?))
        };
        let (id, receive_count) = parse().ok_or_else(|| {
            Fault::new(404, "ReceiptHandleIsInvalid", format!("The input receipt handle \"{receipt}\" is not valid."))
        })?;
        Ok(self.index.get(id).filter(|entry| entry.receive_count == receive_count).map(|_| id))
    }

    fn attributes(&self, name: &str) -> Map<String, Value> {
        let counts = self.index.counts();
        let mut attributes = Map::new();
        let mut put = |name: &str, value: String| attributes.insert(name.to_owned(), Value::String(value));
        put("QueueArn", queue_arn(name));
        put("ApproximateNumberOfMessages", counts.visible.to_string());
        put("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string());
        put("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string());
        put("VisibilityTimeout", self.settings.visibility_timeout.as_secs().to_string());
        if let Some(dead_letter_queue) = &self.settings.dead_letter_queue {
            let target = queue_arn(dead_letter_queue);
            let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": self.settings.max_receive_count});
            put("RedrivePolicy", policy.to_string());
        }
        attributes
    }
}

/// Returns the URL of the queue `name`.
pub(super) fn queue_url(name: &str) -> String {
    format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}")
}

/// Returns the ARN of the queue `name`.
pub(super) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// Returns the name in a queue's URL.
fn name_in(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn find<'a>(queues: &'a mut BTreeMap<String, Queue>, url: &str) -> Result<&'a mut Queue, Fault> {
    queues.get_mut(name_in(url)).ok_or_else(|| {
        Fault::new(400, "QueueDoesNotExist", "The specified queue does not exist.")
            .with_query_code("AWS.SimpleQueueService.NonExistentQueue")
    })
}

/// Returns the UUID of a message. AWS uses random UUIDs. Here it contains the id, so that it is the same in every test run.
fn message_id(id: i64) -> String {
    format!("00000000-0000-4000-8000-{id:012x}")
}

/// Returns a message in the form in which `ReceiveMessage` answers it.
fn show(message: Received, request: &ReceiveMessage) -> Value {
    let mut attributes = Map::new();
    let system = [
        ("SenderId", Some("embedded".to_owned())),
        ("SentTimestamp", Some(message.sent_ms.to_string())),
        ("ApproximateReceiveCount", Some(message.receive_count.to_string())),
        ("ApproximateFirstReceiveTimestamp", Some(message.first_received_ms.to_string())),
        ("MessageGroupId", message.group),
    ];
    for (name, value) in system {
        if let Some(value) = value.filter(|_| request.wants(name)) {
            attributes.insert(name.to_owned(), Value::String(value));
        }
    }
    let mut shown = json!({
        "MessageId": message_id(message.id),
        "ReceiptHandle": format!("{}.{}", message.id, message.receive_count),
        "Body": message.body,
        "Attributes": attributes,
    });
    let stored = message.attributes.and_then(|text| serde_json::from_str::<Map<String, Value>>(&text).ok());
    if let Some(mut stored) = stored {
        stored.retain(|name, _| request.wants_message_attribute(name));
        shown["MessageAttributes"] = Value::Object(stored);
    }
    shown
}

fn batch_answer<T>(entries: Vec<BatchEntry<T>>, outcomes: Vec<Outcome>) -> String {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (BatchEntry { id, .. }, outcome) in entries.into_iter().zip(outcomes) {
        match outcome {
            Ok(mut line) => {
                line["Id"] = Value::String(id);
                successful.push(line);
            }
            Err(fault) => failed.push(json!({
                "Id": id,
                "SenderFault": true,
                "Code": fault.code(),
                "Message": fault.message(),
            })),
        }
    }
    json!({"Successful": successful, "Failed": failed}).to_string()
}
