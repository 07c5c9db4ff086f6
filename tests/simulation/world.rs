//! One seed's world: its clock, its AWS, its chance, and the record of what happened, which the invariants are checked
//! against. Nothing in it is Hookline's own: that runs in [`crate::processes`].

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookline::config::Config;
use hookline::delivery::{Delivery, RateSlot, Turn, Wakeup};
use hookline::endpoint::EndpointPolicy;
use hookline::id::{EventId, WebhookId};
use hookline::time::{Clock, Timestamp};
use hookline::webhook::Webhook;
use local::embedded::{EmbeddedAws, QueueSettings};
use local::provision;
use strict_aws::call::{Call, Service, plain};
use strict_aws::grants::{Grant, Need};
use tokio::time::Instant;

use crate::deployed::STACK;
use crate::dice::Dice;
use crate::faults::{Counts, Fault, Kind};
use crate::history::History;
use crate::ledger::Ledger;
use crate::lineage::Lineages;
use crate::outages::Outages;
use crate::plan::Plan;
use crate::processes::Function;
use crate::receivers::{Post, Receivers};
use crate::sources::Alarms;
use crate::throughput::Throughput;

/// Calls of AWS that one seed may make: more is a livelock.
const CALLS_MAX: u64 = 20_000;

/// A webhook as one write left it; `None` where it was deleted.
#[derive(Clone, Debug)]
pub(crate) struct WebhookWrite {
    pub(crate) at_ms: i64,
    pub(crate) webhook: Option<Webhook>,
}

/// A task that a rate limit has put back on the queue.
#[derive(Clone, Debug)]
pub(crate) struct PutBack {
    pub(crate) at_ms: i64,
    pub(crate) task: Wakeup,
    pub(crate) slot: RateSlot,
}

/// What happened, in order.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) faults: Vec<Fault>,
    pub(crate) counts: Counts,
    pub(crate) webhooks: BTreeMap<WebhookId, Vec<WebhookWrite>>,
    /// Deliveries as each write left them.
    pub(crate) deliveries: Vec<Delivery>,
    /// The events that each recovery of a webhook put on the queue, in that order.
    pub(crate) recovered: BTreeMap<(WebhookId, i64), Vec<EventId>>,
    pub(crate) put_back: Vec<PutBack>,
    pub(crate) posts: Vec<Post>,
    pub(crate) ledger: Ledger,
    /// When each invocation began.
    pub(crate) invocations: BTreeMap<u64, i64>,
    /// When messages may have waited for a process to deliver them.
    pub(crate) waits: Vec<Range<i64>>,
    /// What AWS would have refused, whatever then became of it.
    pub(crate) breaches: BTreeSet<String>,
    /// The most invocations of each function in one chain of requests.
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
    pub(crate) alarms: Alarms,
    pub(crate) outages: Outages,
    pub(crate) lineages: Lineages,
    pub(crate) throughput: Throughput,
    pub(crate) history: History,
    clock: TrueClock,
    record: Mutex<Record>,
    trace: Mutex<(DefaultHasher, bool)>,
    calls: AtomicU64,
    /// Messages and schedules that are being dealt with.
    pub(crate) under_way: AtomicU64,
    calm: AtomicBool,
}

/// Simulated time: the paused runtime's, which jumps to the next timer when nothing else is left to do.
#[derive(Clone, Copy, Debug)]
struct TrueClock {
    start: Instant,
    start_ms: i64,
}

impl TrueClock {
    fn now_ms(self) -> i64 {
        self.start_ms + i64::try_from(self.start.elapsed().as_millis()).expect("a run of less than an age")
    }
}

impl World {
    /// A world without users yet. `shown` prints the trace as it grows.
    pub(crate) async fn new(seed: u64, shown: bool) -> Arc<Self> {
        let dice = Dice::new(seed);
        let plan = Plan::draw(&dice);
        let clock = TrueClock { start: Instant::now(), start_ms: 1_800_000_000_000 + dice.between(0, 999_999) };
        let aws = EmbeddedAws::open(None, skewed(clock, 0)).expect("in memory");
        let mut config = provision::config(&aws, plan.retry_schedule(), EndpointPolicy::Strict);
        config.retention = plan.retention;
        config.publish_rate_limit = plan.publish_rate_limit;
        provision::provision(&aws, &config).await.expect("tables and queues");
        let queues = [
            (provision::DELIVERIES, provision::DELIVERIES),
            (provision::SLOW_DELIVERIES, provision::DELIVERIES),
            (provision::EVENTS, provision::EVENTS),
        ];
        for (queue, source) in queues {
            let settings = QueueSettings {
                visibility_timeout: Duration::from_secs(plan.visibility_s as u64),
                max_receive_count: plan.receipts_max,
                dead_letter_queue: Some(format!("{source}-dead-letters")),
            };
            aws.create_queue(queue, settings).expect("in memory");
        }
        let world = Self {
            receivers: Receivers::new(dice.fork(), plan.bad_spells),
            plan,
            dice,
            aws,
            config,
            alarms: Alarms::default(),
            outages: Outages::default(),
            lineages: Lineages::default(),
            throughput: Throughput::default(),
            history: History::default(),
            clock,
            record: Mutex::default(),
            trace: Mutex::new((DefaultHasher::new(), shown)),
            calls: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            calm: AtomicBool::new(true),
        };
        world.trace(|| format!("{:?}", world.plan));
        Arc::new(world)
    }

    /// The true time.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now_ms())
    }

    /// A clock that is wrong by `skew_ms`.
    pub(crate) fn clock(&self, skew_ms: i64) -> Clock {
        skewed(self.clock, skew_ms)
    }

    /// The record so far. Not to be held while anything is awaited.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a fault.
    pub(crate) fn fault(&self, kind: Kind, invocation: Option<u64>, subject: &str) {
        self.trace(|| format!("fault {kind:?} {subject}"));
        let fault = Fault { at_ms: self.now_ms(), kind, invocation, subject: subject.to_owned() };
        let mut record = self.record();
        record.counts.add(kind);
        record.faults.push(fault);
    }

    /// Notes something that AWS refuses, and that Hookline must not do however well it takes the refusal.
    pub(crate) fn breach(&self, what: String) {
        self.trace(|| format!("breach: {what}"));
        self.record().breaches.insert(what);
    }

    /// Whether the seed has failed already: what is refused for good may be tried for ever.
    pub(crate) fn is_broken(&self) -> bool {
        !self.record().breaches.is_empty()
    }

    /// Whether the role of `function` grants what is needed; where it does not, that is a breach.
    pub(crate) fn grants(&self, function: Function, need: &Need) -> bool {
        let grants = &STACK.function(function.name()).grants;
        let Some(grant) = grants.iter().find(|grant| grant.allows(need)) else {
            self.breach(format!("{} has no grant of {} on {}", function.name(), need.action, need.resource));
            return false;
        };
        let used = (function.name(), grant.clone());
        let grants = &mut self.record().grants;
        if !grants.contains(&used) {
            grants.insert(used);
        }
        true
    }

    /// Whether a message or a schedule now meets a fault.
    pub(crate) fn meddles(&self) -> bool {
        !self.is_calm() && self.dice.permille(self.plan.message_faults)
    }

    /// Whether no fault is injected any more, or yet.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub(crate) fn set_calm(&self, calm: bool) {
        self.trace(|| format!("calm: {calm}"));
        self.calm.store(calm, Ordering::Relaxed);
    }

    /// Counts a call of AWS.
    pub(crate) fn count_call(&self) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(calls < CALLS_MAX, "more than {CALLS_MAX} calls of AWS: something goes on forever");
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Takes what a call did on record.
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
                self.observe_wakeups(call);
                self.set_alarms(call);
            }
            _ => {}
        }
    }

    fn observe_wakeups(&self, call: &Call) {
        let mut bodies = call.bodies();
        let single = [&call.body["MessageBody"], &call.body["Target"]["Input"]];
        bodies.extend(single.into_iter().filter_map(|body| Some(body.as_str()?.to_owned())));
        for wakeup in bodies.iter().filter_map(|body| serde_json::from_str::<Wakeup>(body).ok()) {
            if let Some(slot) = wakeup.slot {
                let put_back = PutBack { at_ms: self.now_ms(), task: wakeup.clone(), slot };
                self.record().put_back.push(put_back);
            }
            if let Turn::Scheduled { round: round @ 1.., step: 1 } = wakeup.turn {
                let mut record = self.record();
                let recovered = record.recovered.entry((wakeup.webhook(), round)).or_default();
                // What waits for its rate limit, or moves to the queue for slow endpoints, was sent before.
                let is_new = wakeup.slot.is_none() && !wakeup.slow;
                recovered.extend(is_new.then_some(wakeup.delivery.event));
            }
        }
    }

    fn observe_item(&self, call: &Call) {
        let at_ms = self.now_ms();
        let id = call.body["Item"]["id"]["S"].as_str().unwrap_or_default();
        if call.subject.starts_with("deliveries/") {
            let delivery = serde_json::from_value(plain(&call.body["Item"])).expect("a delivery");
            self.record().deliveries.push(delivery);
        } else if call.subject.starts_with("webhooks/") && id.starts_with(WebhookId::PREFIX) {
            let webhook: Webhook = serde_json::from_value(plain(&call.body["Item"])).expect("a webhook");
            let write = WebhookWrite { at_ms, webhook: Some(webhook.clone()) };
            self.record().webhooks.entry(webhook.id).or_default().push(write);
        }
    }

    /// Adds a line to the trace: two runs of a seed must have the same.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        let (line, ms) = (line(), self.clock.start.elapsed().as_millis());
        let (hasher, shown) = &mut *self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        (ms, &line).hash(hasher);
        if *shown {
            println!("{:>10}.{:03} {line}", ms / 1000, ms % 1000);
        }
    }

    /// What the trace comes to.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).0.finish()
    }
}

fn skewed(clock: TrueClock, skew_ms: i64) -> Clock {
    Clock::new(move || Timestamp::from_unix_ms(clock.now_ms() + skew_ms))
}
