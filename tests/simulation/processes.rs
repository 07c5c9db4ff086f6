//! The processes that run Hookline: Lambda's execution environments. Each has a clock of its own, deals with one event at a
//! time and may end at any call; what it holds in memory ends with it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::retry::RetryPartition;
use axum::Router;
use deliver::Deliverer;
use futures::FutureExt;
use hookline::app::{App, Lazy};
use hookline::endpoint::{EndpointClient, EndpointPolicy};
use hookline::store::event_types::FoundTypes;
use hookline::store::webhooks;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::aws::{FaultyAws, Rest};
use crate::deployed::STACK;
use crate::faults::Kind;
use crate::lineage::Lineage;
use crate::receivers;
use crate::world::World;

/// The time without work after which a connection may have been cut off without a word.
const FREEZE_MS: i64 = 60_000;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Api,
    Publish,
    Deliver,
    Retry,
}

impl Function {
    /// Its name in the template.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Publish => "publish",
            Self::Deliver => "deliver",
            Self::Retry => "retry",
        }
    }

    /// Processes of it at once.
    pub(crate) fn concurrency(self) -> usize {
        match self {
            Self::Deliver => 4,
            Self::Api => 3,
            Self::Publish | Self::Retry => 2,
        }
    }
}

/// Who calls AWS or a receiver.
pub(crate) struct Identity {
    pub(crate) world: Arc<World>,
    pub(crate) number: u64,
    pub(crate) function: Function,
    /// Which event it is dealing with.
    invocation: AtomicU64,
    /// What that event comes from.
    lineage: Mutex<Lineage>,
    /// What the last batch that it asked for was not answered.
    pub(crate) rest: Mutex<Option<Rest>>,
    /// Whether its connections to AWS have died while it was frozen.
    pub(crate) connections_dead: AtomicBool,
    /// When it was last at work.
    ended_ms: AtomicI64,
    dead: CancellationToken,
}

impl Identity {
    pub(crate) fn invocation(&self) -> u64 {
        self.invocation.load(Ordering::Relaxed)
    }

    pub(crate) fn lineage(&self) -> Lineage {
        self.lineage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the process: nothing that it does from now on has an effect.
    pub(crate) fn kill(&self) {
        self.dead.cancel();
    }

    /// Goes on only in a live process.
    pub(crate) async fn live_on(&self) {
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

/// A process.
pub(crate) struct Process {
    pub(crate) app: App,
    pub(crate) deliverer: Deliverer,
    pub(crate) router: Router,
    identity: Arc<Identity>,
    busy: AtomicBool,
    /// Whether it has been made ready for its first event.
    begun: AtomicBool,
}

impl Process {
    /// Does what a process does before its first event, once. The function's own failure is no reason not to start; Lambda's
    /// is one.
    async fn begin(&self) {
        if self.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (identity, world) = (&self.identity, &self.identity.world);
        if !world.is_calm() && world.dice.permille(world.plan.init_faults) {
            world.fault(Kind::InitFailed, Some(identity.invocation()), "");
            identity.kill();
            return std::future::pending().await;
        }
        let _ = webhooks::touch(&self.app).await;
    }
}

/// All processes.
pub(crate) struct Fleet {
    pub(crate) world: Arc<World>,
    processes: Mutex<Vec<Arc<Process>>>,
    made: AtomicU64,
    invocations: AtomicU64,
    freed: Notify,
}

impl Fleet {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        let (processes, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { world, processes, made: AtomicU64::new(0), invocations: AtomicU64::new(0), freed })
    }

    /// Lets a process of `function` do `work`, which comes from no other; `None` where it ended on the way.
    pub(crate) async fn invoke<T, F>(&self, function: Function, work: impl FnOnce(Arc<Process>) -> F) -> Option<T>
    where
        F: Future<Output = T>,
    {
        self.invoke_from(function, Lineage::default(), work).await
    }

    /// Lets a process of `function` do `work` of that lineage; `None` where it ended on the way.
    pub(crate) async fn invoke_from<T, F>(
        &self,
        function: Function,
        lineage: Lineage,
        work: impl FnOnce(Arc<Process>) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let process = self.take(function).await;
        let identity = Arc::clone(&process.identity);
        let invocation = self.invocations.fetch_add(1, Ordering::Relaxed);
        identity.invocation.store(invocation, Ordering::Relaxed);
        *identity.lineage.lock().unwrap_or_else(PoisonError::into_inner) = lineage;
        let now_ms = self.world.now_ms();
        let was_frozen = now_ms.saturating_sub(identity.ended_ms.load(Ordering::Relaxed)) >= FREEZE_MS;
        if was_frozen && !self.world.is_calm() && self.world.dice.permille(self.world.plan.dead_connections) {
            identity.connections_dead.store(true, Ordering::Relaxed);
        }
        self.world.record().invocations.insert(invocation, now_ms);
        self.world.trace(|| format!("p{} {function:?} begins i{invocation}", identity.number));
        let worked = tokio::select! {
            biased;
            () = identity.dead.cancelled() => None,
            worked = async {
                process.begin().await;
                work(Arc::clone(&process)).await
            } => Some(worked),
            () = tokio::time::sleep(STACK.function(function.name()).timeout) => {
                self.world.fault(Kind::Hang, Some(invocation), "");
                identity.kill();
                None
            }
        };
        // What dies in the very step in which the work ends has ended before it.
        let worked = worked.filter(|_| !identity.dead.is_cancelled());
        self.world.trace(|| format!("p{} ends i{invocation}, alive: {}", identity.number, worked.is_some()));
        if worked.is_none() {
            self.lock().retain(|other| !Arc::ptr_eq(other, &process));
        }
        identity.ended_ms.store(self.world.now_ms(), Ordering::Relaxed);
        process.busy.store(false, Ordering::Relaxed);
        self.freed.notify_waiters();
        worked
    }

    /// An idle process, or a new one.
    async fn take(&self, function: Function) -> Arc<Process> {
        loop {
            let freed = self.freed.notified();
            if let Some(process) = self.take_now(function) {
                return process;
            }
            freed.await;
        }
    }

    fn take_now(&self, function: Function) -> Option<Arc<Process>> {
        let mut processes = self.lock();
        let of_function = || processes.iter().filter(|process| process.identity.function == function);
        let idle: Vec<_> = of_function().filter(|process| !process.busy.load(Ordering::Relaxed)).cloned().collect();
        // Lambda may begin a new process although one is idle.
        let has_room = of_function().count() < function.concurrency();
        let process = if has_room && (idle.is_empty() || self.world.dice.permille(100)) {
            let process = Arc::new(self.make(function));
            processes.push(Arc::clone(&process));
            process
        } else if idle.is_empty() {
            return None;
        } else {
            Arc::clone(self.world.dice.pick(&idle))
        };
        process.busy.store(true, Ordering::Relaxed);
        Some(process)
    }

    fn make(&self, function: Function) -> Process {
        let world = &self.world;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let skew_ms = if world.is_calm() { 0 } else { world.dice.between(-world.plan.skew_ms, world.plan.skew_ms) };
        if skew_ms != 0 {
            world.fault(Kind::ClockSkewed, None, &format!("p{number} {skew_ms} ms"));
        }
        let identity = Arc::new(Identity {
            world: Arc::clone(world),
            number,
            function,
            invocation: AtomicU64::new(0),
            lineage: Mutex::default(),
            rest: Mutex::default(),
            connections_dead: AtomicBool::new(false),
            ended_ms: AtomicI64::new(i64::MAX),
            dead: CancellationToken::new(),
        });
        let app = app(&identity, skew_ms);
        let (look_up, receive) = (Arc::clone(&identity), Arc::clone(&identity));
        let endpoints = EndpointClient::in_process(
            EndpointPolicy::Strict,
            move |name| receivers::look_up(&look_up, name),
            Arc::new(move |request| receivers::receive(Arc::clone(&receive), request).boxed()),
        );
        let deliverer = Deliverer::new(app.clone(), endpoints);
        Process {
            router: api::router(app.clone()),
            app,
            deliverer,
            identity,
            busy: AtomicBool::new(false),
            begun: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Process>>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process works with. The SDK's retry quota is a process's own; by default all that runs here would share one.
fn app(identity: &Arc<Identity>, skew_ms: i64) -> App {
    let world = &identity.world;
    let aws = world.aws.sdk_config().to_builder().http_client(FaultyAws(Arc::clone(identity))).build();
    let quota = || RetryPartition::custom("process").build();
    App {
        dynamodb: aws_sdk_dynamodb::Client::from_conf(
            aws_sdk_dynamodb::config::Builder::from(&aws).retry_partition(quota()).build(),
        ),
        sqs: Lazy::new(&aws, move |aws| {
            let config = aws_sdk_sqs::config::Builder::from(aws).retry_partition(quota());
            aws_sdk_sqs::Client::from_conf(config.build())
        }),
        scheduler: Lazy::new(&aws, move |aws| {
            let config = aws_sdk_scheduler::config::Builder::from(aws).retry_partition(quota());
            aws_sdk_scheduler::Client::from_conf(config.build())
        }),
        config: world.config.clone(),
        clock: world.clock(skew_ms),
        random: world.dice.fork().into_random(),
        found_types: FoundTypes::default(),
    }
}
