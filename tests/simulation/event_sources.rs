//! What invokes the functions: the event source mappings of the queues, and the scheduler. They
//! keep AWS's promises and no more: a message arrives at least once, in any order, perhaps late; a
//! schedule fires up to a minute late.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use domain::delivery::Task;
use domain::time::Timestamp;
use embedded_aws::DueSchedule;
use futures::FutureExt;
use local::provision::{DELIVERIES, EVENTS, SLOW_DELIVERIES};
use serde_json::{Value, json};
use strict_aws::call::{Call, Service};
use strict_aws::grants::Need;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::faults::Kind;
use crate::processes::{Fleet, Function};
use crate::stack::STACK;
use crate::world::World;

/// The longest time between the receipt of a late message and its handling.
const LATE_MAX_MS: i64 = 90_000;
/// The longest time between the receipt of a message and the handling of its duplicate.
const DUPLICATE_MAX_MS: i64 = 200_000;
/// How late a schedule may fire.
const SCHEDULE_LATE_MAX_MS: i64 = 60_000;

/// How long Lambda waits before each try of an asynchronous invocation, in seconds.
const ASYNC_WAITS_S: [u64; 3] = [0, 60, 120];
/// The actions that an event source mapping performs with its function's role.
const MAPPING_ACTIONS: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];

/// When each queue, and the scheduler, may next have something due. The times are taken from the
/// AWS calls, so that nothing has to poll.
#[derive(Default)]
pub(crate) struct Timers {
    deliveries: Timer,
    slow_deliveries: Timer,
    events: Timer,
    schedules: Timer,
    /// Schedules whose invocations have not ended.
    pub(crate) open_schedules: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Timer {
    due_ms: Mutex<BTreeSet<i64>>,
    changed: Notify,
}

impl Timer {
    fn set(&self, at_ms: i64) {
        self.due_ms.lock().unwrap_or_else(PoisonError::into_inner).insert(at_ms);
        self.changed.notify_waiters();
    }

    fn next_ms(&self) -> Option<i64> {
        self.due_ms.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }

    /// Waits for the next time that was set, and removes all times that have passed.
    async fn wait(&self, world: &World) {
        loop {
            let changed = self.changed.notified();
            let now_ms = world.now_ms();
            match self.next_ms() {
                Some(due_ms) if due_ms <= now_ms => {
                    self.due_ms.lock().unwrap_or_else(PoisonError::into_inner).retain(|ms| *ms > now_ms);
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

impl Timers {
    fn of(&self, queue: &str) -> Option<&Timer> {
        match queue {
            DELIVERIES => Some(&self.deliveries),
            SLOW_DELIVERIES => Some(&self.slow_deliveries),
            EVENTS => Some(&self.events),
            _ => None,
        }
    }

    /// Returns when something may be due next, in milliseconds.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        let all = [&self.deliveries, &self.slow_deliveries, &self.events, &self.schedules];
        all.into_iter().filter_map(Timer::next_ms).min()
    }
}

impl World {
    /// Sets the timers for a call of SQS or the scheduler that has taken effect.
    pub(crate) fn set_timers(&self, call: &Call) {
        let now_ms = self.now_ms();
        let ms_of = |seconds: &Value| seconds.as_i64().unwrap_or(0) * 1000;
        let queue = self.timers.of(&call.subject);
        match (call.operation.as_str(), queue) {
            ("SendMessage", Some(timer)) => timer.set(now_ms + ms_of(&call.body["DelaySeconds"])),
            ("SendMessageBatch", Some(timer)) => {
                for entry in call.body["Entries"].as_array().into_iter().flatten() {
                    timer.set(now_ms + ms_of(&entry["DelaySeconds"]));
                }
            }
            ("ChangeMessageVisibility", Some(timer)) => timer.set(now_ms + ms_of(&call.body["VisibilityTimeout"])),
            ("ChangeMessageVisibilityBatch", Some(timer)) => {
                for entry in call.body["Entries"].as_array().into_iter().flatten() {
                    timer.set(now_ms + ms_of(&entry["VisibilityTimeout"]));
                }
            }
            ("POSTSchedule", _) => {
                let expression = call.body["ScheduleExpression"].as_str().unwrap_or_default();
                let time = expression.trim_start_matches("at(").trim_end_matches(')');
                let due = Timestamp::parse_rfc3339(&format!("{time}Z")).expect("a time");
                self.timers.schedules.set(due.unix_ms());
                let mut open = self.timers.open_schedules.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert(call.subject.clone());
            }
            _ => {}
        }
    }

    /// Puts a message on a queue.
    pub(crate) async fn send(&self, queue: &str, body: &str) {
        self.send_later(queue, body, 0).await;
    }

    /// Puts a message on a queue, with a delay.
    pub(crate) async fn send_later(&self, queue: &str, body: &str, delay_s: i64) {
        let request = json!({"QueueUrl": self.aws.queue_url(queue), "MessageBody": body, "DelaySeconds": delay_s});
        self.call_aws(Service::Sqs, "SendMessage", &request).await;
        if let Some(timer) = self.timers.of(queue) {
            timer.set(self.now_ms() + delay_s * 1_000);
        }
    }

    /// Receives up to ten messages and hides them for the visibility timeout.
    pub(crate) async fn receive(&self, queue: &str) -> Vec<SqsMessage> {
        let request = json!({
            "QueueUrl": self.aws.queue_url(queue), "MaxNumberOfMessages": self.dice.between(1, 10),
            "VisibilityTimeout": self.plan.visibility_s, "MessageSystemAttributeNames": ["All"],
        });
        let answer = self.call_aws(Service::Sqs, "ReceiveMessage", &request).await;
        let messages = answer["Messages"].as_array().into_iter().flatten();
        let messages: Vec<_> = messages.map(|received| message(received, self.aws.queue_arn(queue))).collect();
        if let Some(timer) = self.timers.of(queue).filter(|_| !messages.is_empty()) {
            timer.set(self.now_ms() + self.plan.visibility_s * 1000);
        }
        messages
    }

    /// Deletes a received message.
    pub(crate) async fn delete(&self, queue: &str, message: &SqsMessage) {
        let request = json!({"QueueUrl": self.aws.queue_url(queue), "ReceiptHandle": message.receipt_handle});
        self.call_aws(Service::Sqs, "DeleteMessage", &request).await;
    }

    /// Returns the number of messages on a queue, hidden and delayed ones included.
    pub(crate) async fn messages_on(&self, queue: &str) -> i64 {
        let request = json!({"QueueUrl": self.aws.queue_url(queue), "AttributeNames": ["All"]});
        let answer = self.call_aws(Service::Sqs, "GetQueueAttributes", &request).await;
        let count = |name: &str| answer["Attributes"][name].as_str().and_then(|text| text.parse::<i64>().ok());
        let names = ["", "NotVisible", "Delayed"].map(|state| format!("ApproximateNumberOfMessages{state}"));
        names.iter().map(|name| count(name).expect("a count")).sum()
    }
}

/// Converts a received message to the form in which Lambda hands it over.
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

/// Returns how many batches of a queue may be handled at once. Together, the two queues of
/// deliveries use all processes of `deliver`.
fn concurrency(queue: &str) -> usize {
    match queue {
        DELIVERIES => Function::Deliver.concurrency() - concurrency(SLOW_DELIVERIES),
        SLOW_DELIVERIES => 1,
        _ => Function::Publish.concurrency(),
    }
}

/// Hands the messages of `queue` to `function`, without end. Like an event source mapping, it
/// receives a batch only when a process is free for it. Otherwise the visibility timeout of waiting
/// messages would end, and they would return again and again.
pub(crate) async fn poll_queue(fleet: Arc<Fleet>, queue: &'static str, function: Function) {
    let world = Arc::clone(&fleet.world);
    let timer = world.timers.of(queue).expect("a queue with a timer");
    let workers = Arc::new(Semaphore::new(concurrency(queue)));
    for action in MAPPING_ACTIONS {
        world.check_grant(function, &Need::new(action, format!("queue/{queue}")));
    }
    loop {
        timer.wait(&world).await;
        loop {
            let since_ms = world.now_ms();
            let worker = Arc::clone(&workers).acquire_owned().await.expect("never closed");
            if function == Function::Deliver && world.now_ms() > since_ms {
                world.record().busy_spans.push(since_ms..world.now_ms());
            }
            let mut messages = world.receive(queue).await;
            if messages.is_empty() {
                break;
            }
            if messages.len() > 1 && world.draws_message_fault() {
                world.record_fault(Kind::MessagesShuffled, None, queue);
                world.dice.shuffle(&mut messages);
            }
            for message in messages.iter().filter(|_| world.draws_message_fault()) {
                world.record_fault(Kind::MessageDuplicated, None, queue);
                let wait_ms = world.dice.between(0, DUPLICATE_MAX_MS);
                spawn(&fleet, hand_over_duplicate(Arc::clone(&fleet), function, message.clone(), wait_ms));
            }
            if world.injects_faults() && world.dice.permille(world.plan.mapping_throttles) {
                world.record_fault(Kind::MappingThrottled, None, queue);
                continue;
            }
            let lag_ms = if world.injects_faults() { world.dice.between(0, world.plan.mapping_lag_ms) } else { 0 };
            if lag_ms > 0 {
                world.record_fault(Kind::MappingLagged, None, queue);
            }
            let late_ms = if world.draws_message_fault() { world.dice.between(1, LATE_MAX_MS) } else { 0 };
            if late_ms > 0 {
                world.record_fault(Kind::MessageLate, None, queue);
            }
            let handing_over = hand_over(Arc::clone(&fleet), (queue, function), messages, lag_ms + late_ms, worker);
            spawn(&fleet, handing_over);
        }
    }
}

/// Runs a future in the background. The world is not idle before it ends.
fn spawn(fleet: &Arc<Fleet>, work: impl Future<Output = ()> + Send + 'static) {
    let world = Arc::clone(&fleet.world);
    world.in_progress.fetch_add(1, Ordering::Relaxed);
    tokio::spawn(async move {
        work.await;
        world.in_progress.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Hands over the duplicate of a message, in a batch of its own.
async fn hand_over_duplicate(fleet: Arc<Fleet>, function: Function, message: SqsMessage, wait_ms: i64) {
    sleep(Duration::from_millis(wait_ms as u64)).await;
    invoke(&fleet, function, vec![message]).await;
}

/// Hands over a batch, and deletes the messages that the function has not reported as failed.
async fn hand_over(
    fleet: Arc<Fleet>,
    (queue, function): (&'static str, Function),
    messages: Vec<SqsMessage>,
    late_ms: i64,
    worker: OwnedSemaphorePermit,
) {
    let world = &fleet.world;
    let received_ms = world.now_ms();
    // A late batch does not keep other batches waiting.
    let _worker = (late_ms == 0).then_some(worker);
    sleep(Duration::from_millis(late_ms as u64)).await;
    let answer = invoke(&fleet, function, messages.clone()).await;
    if world.now_ms() - received_ms > world.plan.visibility_s * 1000 {
        world.record_fault(Kind::VisibilityExpired, None, queue);
    }
    let Some(answer) = answer else { return };
    let failed: Vec<_> = answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    for message in &messages {
        if failed.iter().any(|id| Some(id) == message.message_id.as_ref()) {
            continue;
        }
        if world.draws_message_fault() {
            world.record_fault(Kind::DeleteLost, None, queue);
            continue;
        }
        world.delete(queue, message).await;
    }
}

/// Invokes `function` with a batch. Returns `None` if its process died.
async fn invoke(fleet: &Arc<Fleet>, function: Function, messages: Vec<SqsMessage>) -> Option<SqsBatchResponse> {
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

/// Fires schedules when they are due, without end.
pub(crate) async fn fire_schedules(fleet: Arc<Fleet>) {
    let world = Arc::clone(&fleet.world);
    loop {
        world.timers.schedules.wait(&world).await;
        while let Some(schedule) = world.aws.next_due_schedule().now_or_never() {
            spawn(&fleet, fire_schedule(Arc::clone(&fleet), schedule));
        }
    }
}

/// Fires one schedule, and sometimes fires it twice. The scheduler deletes the schedule when it
/// hands over; any retries are Lambda's.
async fn fire_schedule(fleet: Arc<Fleet>, schedule: DueSchedule) {
    let world = &fleet.world;
    if world.draws_message_fault() {
        world.record_fault(Kind::ScheduleLate, None, &schedule.name);
        sleep(Duration::from_millis(world.dice.between(1, SCHEDULE_LATE_MAX_MS) as u64)).await;
    }
    world.aws.schedule_done(&schedule).expect("in memory");
    invoke_asynchronously(&fleet, &schedule).await;
    if world.draws_message_fault() {
        world.record_fault(Kind::ScheduleDuplicated, None, &schedule.name);
        sleep(Duration::from_millis(world.dice.between(0, SCHEDULE_LATE_MAX_MS) as u64)).await;
        invoke_asynchronously(&fleet, &schedule).await;
    }
    world.timers.open_schedules.lock().unwrap_or_else(PoisonError::into_inner).remove(&schedule.name);
}

/// Invokes `retry` as Lambda does for an asynchronous event. After an error, Lambda tries again one
/// minute later, and then two minutes later. Then the event goes to the function's dead-letter
/// queue, or is lost if the function has none.
async fn invoke_asynchronously(fleet: &Arc<Fleet>, schedule: &DueSchedule) {
    let world = &fleet.world;
    for wait_s in ASYNC_WAITS_S {
        sleep(Duration::from_secs(wait_s)).await;
        let is_lost = world.injects_faults() && world.dice.permille(world.plan.async_faults);
        if !is_lost && invoke_retry(fleet, schedule).await.is_some() {
            return;
        }
        world.record_fault(Kind::AsyncFailed, None, &schedule.name);
    }
    world.record_fault(Kind::AsyncDiscarded, None, &schedule.name);
    let Some(queue) = &STACK.function(Function::Retry.name()).dead_letter_queue else { return };
    if world.check_grant(Function::Retry, &Need::new("sqs:SendMessage", format!("queue/{queue}"))) {
        world.send(queue, &schedule.input).await;
    }
}

/// Invokes `retry`. Returns `None` if that failed.
async fn invoke_retry(fleet: &Arc<Fleet>, schedule: &DueSchedule) -> Option<()> {
    let task: Task = serde_json::from_str(&schedule.input).expect("a task");
    let work = |process: Arc<crate::processes::Process>| async move { retry::handle(&process.app, task).await };
    fleet.invoke(Function::Retry, work).await?.ok()
}
