//! The world of one seed: its clock, its AWS, its randomness, and the record of what happened,
//! which the invariants are checked against. Hookline itself runs in [`crate::processes`].

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use application::config::Config;
use domain::account::AccountId;
use domain::delivery::{Delivery, RateSlot, Task, Trigger};
use domain::endpoint_policy::EndpointPolicy;
use domain::id::{EventId, RecoveryId, WebhookId};
use domain::recovery::Recovery;
use domain::time::{Clock, Timestamp};
use domain::webhook::Webhook;
use embedded_aws::{EmbeddedAws, QueueAttributes};
use local::provision;
use store::keys;
use strict_aws::call::{Call, Service, plain};
use strict_aws::grants::{Grant, Need};
use tokio::time::Instant;

use crate::dice::Dice;
use crate::event_sources::Timers;
use crate::faults::{Counts, Fault, Kind};
use crate::history::History;
use crate::ledger::Ledger;
use crate::lineage::Lineages;
use crate::outages::Outages;
use crate::plan::Plan;
use crate::processes::Function;
use crate::receivers::{IssuedToken, Post, Receivers};
use crate::stack::STACK;
use crate::throughput::Throughput;

/// AWS calls that one seed may make. More mean a livelock.
const CALLS_MAX: u64 = 300_000;

/// A webhook after one write; `None` after its deletion.
#[derive(Clone, Debug)]
pub(crate) struct WebhookWrite {
    pub(crate) at_ms: i64,
    pub(crate) webhook: Option<Webhook>,
}

/// A delivery after one write.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryWrite {
    pub(crate) at_ms: i64,
    pub(crate) delivery: Delivery,
}

/// The record of a recovery after one write.
#[derive(Clone, Debug)]
pub(crate) struct RecoveryWrite {
    pub(crate) at_ms: i64,
    pub(crate) account: AccountId,
    pub(crate) recovery: Recovery,
}

/// A task that a rate limit has requeued.
#[derive(Clone, Debug)]
pub(crate) struct Requeued {
    pub(crate) at_ms: i64,
    pub(crate) task: Task,
    pub(crate) slot: RateSlot,
}

/// What has happened, in order.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) faults: Vec<Fault>,
    pub(crate) counts: Counts,
    pub(crate) webhooks: BTreeMap<WebhookId, Vec<WebhookWrite>>,
    /// The writes of all deliveries.
    pub(crate) deliveries: Vec<DeliveryWrite>,
    /// The records of recoveries after each of their writes.
    pub(crate) recoveries: BTreeMap<RecoveryId, Vec<RecoveryWrite>>,
    /// The events that each recovery of a webhook has enqueued, in that order, by webhook and run.
    pub(crate) recovered: BTreeMap<(WebhookId, i64), Vec<EventId>>,
    pub(crate) requeued: Vec<Requeued>,
    pub(crate) posts: Vec<Post>,
    /// The OAuth 2 access tokens, in the order in which they were given.
    pub(crate) tokens: Vec<IssuedToken>,
    pub(crate) ledger: Ledger,
    /// When each invocation began.
    pub(crate) invocations: BTreeMap<u64, i64>,
    /// Times in which `deliver` was at its concurrency limit, so that messages may have waited.
    pub(crate) busy_spans: Vec<Range<i64>>,
    /// Violations found during the run, such as calls that AWS would refuse.
    pub(crate) violations: BTreeSet<String>,
    /// The longest chain of invocations of each function.
    pub(crate) longest_chains: BTreeMap<&'static str, u32>,
    /// The grants that were used.
    pub(crate) grants: BTreeSet<(&'static str, Grant)>,
}

/// The world of one seed.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    pub(crate) aws: EmbeddedAws,
    pub(crate) config: Config,
    pub(crate) receivers: Receivers,
    pub(crate) timers: Timers,
    pub(crate) outages: Outages,
    pub(crate) lineages: Lineages,
    pub(crate) throughput: Throughput,
    pub(crate) history: History,
    clock: SimulatedClock,
    record: Mutex<Record>,
    /// The hash of the trace so far, and whether the trace is printed.
    trace: Mutex<(DefaultHasher, bool)>,
    calls: AtomicU64,
    /// Messages and schedules that are being handled.
    pub(crate) in_progress: AtomicU64,
    faults_on: AtomicBool,
}

/// Simulated time: that of the paused runtime, which jumps to the next timer when no task can run.
#[derive(Clone, Copy, Debug)]
struct SimulatedClock {
    start: Instant,
    start_ms: i64,
}

impl SimulatedClock {
    fn now_ms(self) -> i64 {
        self.start_ms + i64::try_from(self.start.elapsed().as_millis()).expect("the simulated time fits")
    }
}

impl World {
    /// Creates a world without users. `verbose` prints the trace as it grows.
    pub(crate) async fn new(seed: u64, verbose: bool) -> Arc<Self> {
        let dice = Dice::new(seed);
        let plan = Plan::draw(&dice);
        let clock = SimulatedClock { start: Instant::now(), start_ms: 1_800_000_000_000 + dice.between(0, 999_999) };
        let aws = EmbeddedAws::open(None, skewed(clock, 0)).expect("in memory");
        let mut config = provision::config(&aws, plan.retry_schedule(), EndpointPolicy::Strict);
        config.tables.retention = plan.retention;
        config.trial_schedule = plan.trial_schedule();
        config.auto_recover = plan.auto_recover;
        config.publish_rate_limit = plan.publish_rate_limit;
        provision::provision(&aws, &config).await.expect("tables and queues");
        let queues = [
            (provision::DELIVERIES, provision::DELIVERIES),
            (provision::SLOW_DELIVERIES, provision::DELIVERIES),
            (provision::EVENTS, provision::EVENTS),
        ];
        for (queue, source) in queues {
            let settings = QueueAttributes {
                visibility_timeout: Duration::from_secs(plan.visibility_s as u64),
                max_receive_count: plan.receipts_max,
                dead_letter_queue: Some(format!("{source}-dead-letters")),
            };
            aws.create_queue(queue, settings).expect("in memory");
        }
        let world = Self {
            receivers: Receivers::new(dice.fork(), plan.bad_phases),
            plan,
            dice,
            aws,
            config,
            timers: Timers::default(),
            outages: Outages::default(),
            lineages: Lineages::default(),
            throughput: Throughput::default(),
            history: History::default(),
            clock,
            record: Mutex::default(),
            trace: Mutex::new((DefaultHasher::new(), verbose)),
            calls: AtomicU64::new(0),
            in_progress: AtomicU64::new(0),
            faults_on: AtomicBool::new(false),
        };
        world.trace(|| format!("{:?}", world.plan));
        Arc::new(world)
    }

    /// Returns the true time in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Returns the true time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now_ms())
    }

    /// Returns a clock that is wrong by `skew_ms`.
    pub(crate) fn clock(&self, skew_ms: i64) -> Clock {
        skewed(self.clock, skew_ms)
    }

    /// Locks the record. Do not hold the lock across an `await`.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a fault.
    pub(crate) fn record_fault(&self, kind: Kind, invocation: Option<u64>, subject: &str) {
        self.trace(|| format!("fault {kind:?} {subject}"));
        let fault = Fault { at_ms: self.now_ms(), kind, invocation, subject: subject.to_owned() };
        let mut record = self.record();
        record.counts.add(kind);
        record.faults.push(fault);
    }

    /// Records a violation, such as a call that AWS would refuse. Hookline must not make such a
    /// call, even if it handles the refusal well.
    pub(crate) fn record_violation(&self, violation: String) {
        self.trace(|| format!("violation: {violation}"));
        self.record().violations.insert(violation);
    }

    /// Whether the seed has failed already. It must then stop, because Hookline may retry a refused
    /// call forever.
    pub(crate) fn has_failed(&self) -> bool {
        !self.record().violations.is_empty()
    }

    /// Returns whether the role of `function` grants what is needed. Records a violation if it does
    /// not.
    pub(crate) fn check_grant(&self, function: Function, need: &Need) -> bool {
        let grants = &STACK.function(function.name()).grants;
        let Some(grant) = grants.iter().find(|grant| grant.allows(need)) else {
            self.record_violation(format!("{} has no grant for {} on {}", function.name(), need.action, need.resource));
            return false;
        };
        let used = (function.name(), grant.clone());
        let grants = &mut self.record().grants;
        if !grants.contains(&used) {
            grants.insert(used);
        }
        true
    }

    /// Draws whether a fault hits a message or a schedule.
    pub(crate) fn draws_message_fault(&self) -> bool {
        self.injects_faults() && self.dice.permille(self.plan.message_faults)
    }

    /// Whether faults of AWS, messages and processes are injected now. Receivers fail independently
    /// of this.
    pub(crate) fn injects_faults(&self) -> bool {
        self.faults_on.load(Ordering::Relaxed)
    }

    pub(crate) fn start_faults(&self) {
        self.trace(|| "faults start".to_owned());
        self.faults_on.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stop_faults(&self) {
        self.trace(|| "faults stop".to_owned());
        self.faults_on.store(false, Ordering::Relaxed);
    }

    /// Counts an AWS call.
    pub(crate) fn count_call(&self) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(calls < CALLS_MAX, "more than {CALLS_MAX} AWS calls: something repeats forever");
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Records the effect of a call.
    pub(crate) fn observe(&self, call: &Call) {
        match (call.service, call.operation.as_str()) {
            (Service::DynamoDb, "PutItem") => self.observe_item(call),
            (Service::DynamoDb, "DeleteItem") => {
                if let Some(id) = call.body["Key"]["id"]["S"].as_str().and_then(|id| id.parse().ok()) {
                    let deletion = WebhookWrite { at_ms: self.now_ms(), webhook: None };
                    self.record().webhooks.entry(id).or_default().push(deletion);
                }
            }
            (Service::Sqs | Service::Scheduler, _) => {
                self.observe_tasks(call);
                self.set_timers(call);
            }
            _ => {}
        }
    }

    /// Records the tasks that a call has sent: those that a rate limit requeues, and the first ones
    /// of a recovery.
    fn observe_tasks(&self, call: &Call) {
        let mut bodies = call.bodies();
        let single = [&call.body["MessageBody"], &call.body["Target"]["Input"]];
        bodies.extend(single.into_iter().filter_map(|body| Some(body.as_str()?.to_owned())));
        for task in bodies.iter().filter_map(|body| serde_json::from_str::<Task>(body).ok()) {
            if let Some(slot) = task.slot {
                let requeued = Requeued { at_ms: self.now_ms(), task: task.clone(), slot };
                self.record().requeued.push(requeued);
            }
            if let Trigger::Scheduled { run: run @ 1.., step: 1 } = task.trigger {
                let mut record = self.record();
                let recovered = record.recovered.entry((task.webhook(), run)).or_default();
                // A task that waits for its rate slot, or that moves to the queue for slow
                // endpoints, was sent before.
                let is_new = task.slot.is_none() && !task.slow;
                recovered.extend(is_new.then_some(task.delivery.event));
            }
        }
    }

    /// Records a delivery or a webhook that a call has written.
    fn observe_item(&self, call: &Call) {
        let at_ms = self.now_ms();
        let id = call.body["Item"]["id"]["S"].as_str().unwrap_or_default();
        if call.subject.starts_with("deliveries/") {
            let delivery = serde_json::from_value(plain(&call.body["Item"])).expect("a delivery");
            self.record().deliveries.push(DeliveryWrite { at_ms, delivery });
        } else if call.subject.starts_with("webhooks/") && id.starts_with(WebhookId::PREFIX) {
            let webhook: Webhook = serde_json::from_value(plain(&call.body["Item"])).expect("a webhook");
            let write = WebhookWrite { at_ms, webhook: Some(webhook.clone()) };
            self.record().webhooks.entry(webhook.id).or_default().push(write);
        } else if call.subject.starts_with("webhooks/") && id.starts_with(RecoveryId::PREFIX) {
            let recovery: Recovery = serde_json::from_value(plain(&call.body["Item"])).expect("a recovery");
            let partition = call.body["Item"][keys::ACCOUNT]["S"].as_str().unwrap_or_default();
            let account = partition.split('#').nth(2).and_then(|name| name.parse().ok()).expect("an account");
            let id = recovery.id;
            let write = RecoveryWrite { at_ms, account, recovery };
            self.record().recoveries.entry(id).or_default().push(write);
        }
    }

    /// Adds a line to the trace. A seed must have the same trace each time.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        let (line, ms) = (line(), self.clock.start.elapsed().as_millis());
        let (hasher, verbose) = &mut *self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        (ms, &line).hash(hasher);
        if *verbose {
            println!("{:>10}.{:03} {line}", ms / 1000, ms % 1000);
        }
    }

    /// Returns the hash of the trace.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).0.finish()
    }
}

fn skewed(clock: SimulatedClock, skew_ms: i64) -> Clock {
    Clock::new(move || Timestamp::from_unix_ms(clock.now_ms() + skew_ms))
}
