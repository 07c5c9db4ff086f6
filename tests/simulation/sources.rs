//! What invokes the functions in AWS: the event source mappings of the two queues, and the scheduler. They keep to what
//! AWS promises and no more: a message comes at least once, in any order, late; a schedule fires up to a minute late.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt;
use hookline::delivery::Wakeup;
use hookline::time::Timestamp;
use local::embedded::DueSchedule;
use local::provision::{DELIVERIES, EVENTS, SLOW_DELIVERIES};
use serde_json::{Value, json};
use strict_aws::call::{Call, Service};
use strict_aws::grants::Need;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::deployed::STACK;
use crate::faults::Kind;
use crate::processes::{Fleet, Function};
use crate::world::World;

/// The longest that a message waits between its receipt and its handling.
const LATE_MAX_MS: i64 = 90_000;
/// The longest time between the two handlings of a message that comes twice.
const TWICE_MAX_MS: i64 = 200_000;
/// How late a schedule may fire.
const SCHEDULE_LATE_MAX_MS: i64 = 60_000;

/// What Lambda waits before each of its tries of an asynchronous invocation, in seconds.
const ASYNC_WAITS_S: [u64; 3] = [0, 60, 120];
/// What an event source mapping does in its function's role.
const MAPPING_ACTIONS: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];

/// When something may be due: the moments that the calls of AWS tell of, so that nothing has to be polled in between.
#[derive(Default)]
pub(crate) struct Alarms {
    deliveries: Alarm,
    slow_deliveries: Alarm,
    events: Alarm,
    schedules: Alarm,
    /// Schedules that have not been dealt with.
    pub(crate) scheduled: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Alarm {
    moments_ms: Mutex<BTreeSet<i64>>,
    changed: Notify,
}

impl Alarm {
    fn set(&self, at_ms: i64) {
        self.moments_ms.lock().unwrap_or_else(PoisonError::into_inner).insert(at_ms);
        self.changed.notify_waiters();
    }

    fn next_ms(&self) -> Option<i64> {
        self.moments_ms.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }

    /// Returns at the next moment.
    async fn ring(&self, world: &World) {
        loop {
            let changed = self.changed.notified();
            let now_ms = world.now_ms();
            match self.next_ms() {
                Some(due_ms) if due_ms <= now_ms => {
                    self.moments_ms.lock().unwrap_or_else(PoisonError::into_inner).retain(|ms| *ms > now_ms);
                    return;
                }
                Some(due_ms) => {
                    let wait = Duration::from_millis((due_ms - now_ms) as u64);
                    let _ = tokio::time::timeout(wait, changed).await;
                }
                None => changed.await,
            }
        }
    }
}

impl Alarms {
    fn of(&self, queue: &str) -> Option<&Alarm> {
        match queue {
            DELIVERIES => Some(&self.deliveries),
            SLOW_DELIVERIES => Some(&self.slow_deliveries),
            EVENTS => Some(&self.events),
            _ => None,
        }
    }

    /// The next moment at which something may be due.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        let all = [&self.deliveries, &self.slow_deliveries, &self.events, &self.schedules];
        all.into_iter().filter_map(Alarm::next_ms).min()
    }
}

impl World {
    /// Sets the alarms for a call of SQS or the scheduler that took effect.
    pub(crate) fn set_alarms(&self, call: &Call) {
        let now_ms = self.now_ms();
        let seconds = |value: &Value| value.as_i64().unwrap_or(0) * 1000;
        let queue = self.alarms.of(&call.subject);
        match (call.operation.as_str(), queue) {
            ("SendMessage", Some(alarm)) => alarm.set(now_ms + seconds(&call.body["DelaySeconds"])),
            ("SendMessageBatch", Some(alarm)) => {
                for entry in call.body["Entries"].as_array().into_iter().flatten() {
                    alarm.set(now_ms + seconds(&entry["DelaySeconds"]));
                }
            }
            ("ChangeMessageVisibility", Some(alarm)) => alarm.set(now_ms + seconds(&call.body["VisibilityTimeout"])),
            ("ChangeMessageVisibilityBatch", Some(alarm)) => {
                for entry in call.body["Entries"].as_array().into_iter().flatten() {
                    alarm.set(now_ms + seconds(&entry["VisibilityTimeout"]));
                }
            }
            ("POSTSchedule", _) => {
                let expression = call.body["ScheduleExpression"].as_str().unwrap_or_default();
                let moment = expression.trim_start_matches("at(").trim_end_matches(')');
                let due = Timestamp::parse_rfc3339(&format!("{moment}Z")).expect("a moment");
                self.alarms.schedules.set(due.unix_ms());
                let mut scheduled = self.alarms.scheduled.lock().unwrap_or_else(PoisonError::into_inner);
                scheduled.insert(call.subject.clone());
            }
            _ => {}
        }
    }

    /// Puts a message on a queue.
    pub(crate) async fn send(&self, queue: &str, body: &str) {
        self.send_later(queue, body, 0).await;
    }

    /// Puts a message on a queue that nobody receives for `delay_s` seconds.
    pub(crate) async fn send_later(&self, queue: &str, body: &str, delay_s: i64) {
        let request = json!({"QueueUrl": self.aws.queue_url(queue), "MessageBody": body, "DelaySeconds": delay_s});
        self.ask(Service::Sqs, "SendMessage", &request).await;
        if let Some(alarm) = self.alarms.of(queue) {
            alarm.set(self.now_ms() + delay_s * 1_000);
        }
    }

    /// Receives up to ten messages, which stay hidden for the visibility timeout.
    pub(crate) async fn receive(&self, queue: &str) -> Vec<SqsMessage> {
        let request = json!({
            "QueueUrl": self.aws.queue_url(queue), "MaxNumberOfMessages": self.dice.between(1, 10),
            "VisibilityTimeout": self.plan.visibility_s, "MessageSystemAttributeNames": ["All"],
        });
        let answer = self.ask(Service::Sqs, "ReceiveMessage", &request).await;
        let messages = answer["Messages"].as_array().into_iter().flatten();
        let messages: Vec<_> = messages.map(|received| message(received, self.aws.queue_arn(queue))).collect();
        if let Some(alarm) = self.alarms.of(queue).filter(|_| !messages.is_empty()) {
            alarm.set(self.now_ms() + self.plan.visibility_s * 1000);
        }
        messages
    }

    /// Deletes a received message.
    pub(crate) async fn delete(&self, queue: &str, message: &SqsMessage) {
        let request = json!({"QueueUrl": self.aws.queue_url(queue), "ReceiptHandle": message.receipt_handle});
        self.ask(Service::Sqs, "DeleteMessage", &request).await;
    }

    /// How many messages are on a queue, hidden and delayed ones included.
    pub(crate) async fn messages_on(&self, queue: &str) -> i64 {
        let request = json!({"QueueUrl": self.aws.queue_url(queue), "AttributeNames": ["All"]});
        let answer = self.ask(Service::Sqs, "GetQueueAttributes", &request).await;
        let count = |name: &str| answer["Attributes"][name].as_str().and_then(|text| text.parse::<i64>().ok());
        let names = ["", "NotVisible", "Delayed"].map(|which| format!("ApproximateNumberOfMessages{which}"));
        names.iter().map(|name| count(name).expect("a count")).sum()
    }
}

fn message(received: &Value, queue_arn: String) -> SqsMessage {
    let text = |name: &str| received[name].as_str().map(str::to_owned);
    let mut message = SqsMessage::default();
    message.message_id = text("MessageId");
    message.receipt_handle = text("ReceiptHandle");
    message.body = text("Body");
    message.event_source_arn = Some(queue_arn);
    let attributes = received["Attributes"].as_object().into_iter().flatten();
    message.attributes =
        attributes.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    message
}

/// Invocations at once of a queue's event source mapping: a deliver process each for one of them.
fn concurrency(queue: &str) -> usize {
    match queue {
        DELIVERIES => Function::Deliver.concurrency() - concurrency(SLOW_DELIVERIES),
        SLOW_DELIVERIES => 1,
        _ => Function::Publish.concurrency(),
    }
}

/// Hands the messages of `queue` to `function` for as long as the world lasts. It receives no more than there are processes
/// for, as an event source mapping: messages that only waited for one would use up their visibility timeouts, and come again
/// and again.
pub(crate) async fn poll_queue(fleet: Arc<Fleet>, queue: &'static str, function: Function) {
    let world = Arc::clone(&fleet.world);
    let alarm = world.alarms.of(queue).expect("a queue with an alarm");
    let slots = Arc::new(Semaphore::new(concurrency(queue)));
    for action in MAPPING_ACTIONS {
        world.grants(function, &Need::new(action, format!("queue/{queue}")));
    }
    loop {
        alarm.ring(&world).await;
        loop {
            let since_ms = world.now_ms();
            let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
            if function == Function::Deliver && world.now_ms() > since_ms {
                world.record().waits.push(since_ms..world.now_ms());
            }
            let mut messages = world.receive(queue).await;
            if messages.is_empty() {
                break;
            }
            if messages.len() > 1 && world.meddles() {
                world.fault(Kind::MessagesShuffled, None, queue);
                world.dice.shuffle(&mut messages);
            }
            for message in messages.iter().filter(|_| world.meddles()) {
                world.fault(Kind::MessageTwice, None, queue);
                let wait_ms = world.dice.between(0, TWICE_MAX_MS);
                spawn(&fleet, again(Arc::clone(&fleet), function, message.clone(), wait_ms));
            }
            if !world.is_calm() && world.dice.permille(world.plan.mapping_throttles) {
                world.fault(Kind::MappingThrottled, None, queue);
                continue;
            }
            let lag_ms = if world.is_calm() { 0 } else { world.dice.between(0, world.plan.mapping_lag_ms) };
            if lag_ms > 0 {
                world.fault(Kind::MappingLagged, None, queue);
            }
            let late_ms = if world.meddles() { world.dice.between(1, LATE_MAX_MS) } else { 0 };
            if late_ms > 0 {
                world.fault(Kind::MessageLate, None, queue);
            }
            spawn(&fleet, hand_over(Arc::clone(&fleet), queue, function, messages, lag_ms + late_ms, slot));
        }
    }
}

/// Runs a task that the world is not quiet before the end of.
fn spawn(fleet: &Arc<Fleet>, task: impl Future<Output = ()> + Send + 'static) {
    let world = Arc::clone(&fleet.world);
    world.under_way.fetch_add(1, Ordering::Relaxed);
    tokio::spawn(async move {
        task.await;
        world.under_way.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Hands over a message that comes twice, apart from its batch.
async fn again(fleet: Arc<Fleet>, function: Function, message: SqsMessage, wait_ms: i64) {
    sleep(Duration::from_millis(wait_ms as u64)).await;
    handle(&fleet, function, vec![message]).await;
}

/// Hands a batch over, and deletes the messages that are not reported as failed.
async fn hand_over(
    fleet: Arc<Fleet>,
    queue: &'static str,
    function: Function,
    messages: Vec<SqsMessage>,
    late_ms: i64,
    slot: OwnedSemaphorePermit,
) {
    let world = &fleet.world;
    let received_ms = world.now_ms();
    // What is late keeps nobody else waiting.
    let _slot = (late_ms == 0).then_some(slot);
    sleep(Duration::from_millis(late_ms as u64)).await;
    let answer = handle(&fleet, function, messages.clone()).await;
    if world.now_ms() - received_ms > world.plan.visibility_s * 1000 {
        world.fault(Kind::VisibilityOver, None, queue);
    }
    let Some(answer) = answer else { return };
    let failed: Vec<_> = answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    for message in &messages {
        if failed.iter().any(|id| Some(id) == message.message_id.as_ref()) {
            continue;
        }
        if world.meddles() {
            world.fault(Kind::DeleteLost, None, queue);
            continue;
        }
        world.delete(queue, message).await;
    }
}

async fn handle(fleet: &Arc<Fleet>, function: Function, messages: Vec<SqsMessage>) -> Option<SqsBatchResponse> {
    let lineage = fleet.world.lineage_of(function, &messages);
    let mut event = SqsEvent::default();
    event.records = messages;
    let work = |process: Arc<crate::processes::Process>| async move {
        match function {
            Function::Deliver => deliver::handle(&process.deliverer, event).await,
            _ => publish::handle(&process.app, event).await,
        }
    };
    fleet.invoke_from(function, lineage, work).await
}

/// Fires what is scheduled for as long as the world lasts.
pub(crate) async fn fire_schedules(fleet: Arc<Fleet>) {
    let world = Arc::clone(&fleet.world);
    loop {
        world.alarms.schedules.ring(&world).await;
        while let Some(schedule) = world.aws.next_due_schedule().now_or_never() {
            spawn(&fleet, fire(Arc::clone(&fleet), schedule));
        }
    }
}

/// The scheduler hands over once, and forgets the schedule: what becomes of it then is Lambda's business.
async fn fire(fleet: Arc<Fleet>, schedule: DueSchedule) {
    let world = &fleet.world;
    if world.meddles() {
        world.fault(Kind::ScheduleLate, None, &schedule.name);
        sleep(Duration::from_millis(world.dice.between(1, SCHEDULE_LATE_MAX_MS) as u64)).await;
    }
    world.aws.schedule_done(&schedule).expect("in memory");
    invoke_asynchronously(&fleet, &schedule).await;
    if world.meddles() {
        world.fault(Kind::ScheduleTwice, None, &schedule.name);
        sleep(Duration::from_millis(world.dice.between(0, SCHEDULE_LATE_MAX_MS) as u64)).await;
        invoke_asynchronously(&fleet, &schedule).await;
    }
    world.alarms.scheduled.lock().unwrap_or_else(PoisonError::into_inner).remove(&schedule.name);
}

/// Invokes `retry` as Lambda does where the caller does not wait: an error is tried again after one minute and after two
/// more, and then the event goes to the function's dead-letter queue, or is gone where it has none.
async fn invoke_asynchronously(fleet: &Arc<Fleet>, schedule: &DueSchedule) {
    let world = &fleet.world;
    for wait_s in ASYNC_WAITS_S {
        sleep(Duration::from_secs(wait_s)).await;
        let is_lost = !world.is_calm() && world.dice.permille(world.plan.async_faults);
        if !is_lost && invoke_retry(fleet, schedule).await.is_some() {
            return;
        }
        world.fault(Kind::AsyncFailed, None, &schedule.name);
    }
    world.fault(Kind::AsyncGivenUp, None, &schedule.name);
    let Some(queue) = &STACK.function(Function::Retry.name()).dead_letter_queue else { return };
    if world.grants(Function::Retry, &Need::new("sqs:SendMessage", format!("queue/{queue}"))) {
        world.send(queue, &schedule.input).await;
    }
}

/// Invokes `retry`; `None` where that failed.
async fn invoke_retry(fleet: &Arc<Fleet>, schedule: &DueSchedule) -> Option<()> {
    let wakeup: Wakeup = serde_json::from_str(&schedule.input).expect("a wake-up");
    let work = |process: Arc<crate::processes::Process>| async move { retry::handle(&process.app, wakeup).await };
    fleet.invoke(Function::Retry, work).await?.ok()
}
