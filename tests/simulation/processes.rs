//! The processes that run Hookline: Lambda's execution environments. Each has its own clock,
//! handles one event at a time and may die at any call, with everything that it holds in memory.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use application::App;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use axum::Router;
use deliver::Deliverer;
use domain::endpoint_policy::EndpointPolicy;
use endpoint::EndpointClient;
use futures::FutureExt;
use store::{Clients, Lazy, webhooks};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::aws::{FaultyAws, Unprocessed};
use crate::faults::Kind;
use crate::lineage::Lineage;
use crate::receivers;
use crate::stack::STACK;
use crate::world::World;

/// How long a process is idle, and so frozen, before its connections may be dead.
const FREEZE_MS: i64 = 60_000;

/// A Lambda function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Api,
    Publish,
    Deliver,
    Retry,
}

impl Function {
    /// Returns the name in the template.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Publish => "publish",
            Self::Deliver => "deliver",
            Self::Retry => "retry",
        }
    }

    /// Returns how many processes of the function may run at once.
    pub(crate) fn concurrency(self) -> usize {
        match self {
            Self::Deliver => 4,
            Self::Api => 3,
            Self::Publish | Self::Retry => 2,
        }
    }
}

/// A process as AWS and the receivers see it: who makes a call.
pub(crate) struct Caller {
    pub(crate) world: Arc<World>,
    /// The number of the process.
    pub(crate) number: u64,
    pub(crate) function: Function,
    /// The present or last invocation.
    invocation: AtomicU64,
    /// The lineage of that invocation's event.
    lineage: Mutex<Lineage>,
    /// What the answer to the last batch has not processed.
    pub(crate) unprocessed: Mutex<Option<Unprocessed>>,
    /// Whether its connections to AWS have died while it was frozen.
    pub(crate) connections_dead: AtomicBool,
    /// When its last invocation ended.
    idle_since_ms: AtomicI64,
    killed: CancellationToken,
}

impl Caller {
    pub(crate) fn invocation(&self) -> u64 {
        self.invocation.load(Ordering::Relaxed)
    }

    pub(crate) fn lineage(&self) -> Lineage {
        self.lineage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the process. Nothing that it does from now on has an effect.
    pub(crate) fn kill(&self) {
        self.killed.cancel();
    }

    /// Never returns if the process was killed.
    pub(crate) async fn stop_if_killed(&self) {
        if self.killed.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

/// A process: one Lambda execution environment.
pub(crate) struct Process {
    pub(crate) app: App,
    pub(crate) deliverer: Deliverer,
    pub(crate) router: Router,
    caller: Arc<Caller>,
    busy: AtomicBool,
    /// Whether its initialisation has begun.
    started: AtomicBool,
}

impl Process {
    /// Initialises the process before its first event. A failed call to AWS does not prevent the
    /// start, but the process may die here.
    async fn start(&self) {
        if self.started.swap(true, Ordering::Relaxed) {
            return;
        }
        let (caller, world) = (&self.caller, &self.caller.world);
        if world.injects_faults() && world.dice.permille(world.plan.init_faults) {
            world.record_fault(Kind::InitFailed, Some(caller.invocation()), "");
            caller.kill();
            return std::future::pending().await;
        }
        webhooks::warm(&self.app.store).await;
    }
}

/// All processes of all functions.
pub(crate) struct Fleet {
    pub(crate) world: Arc<World>,
    processes: Mutex<Vec<Arc<Process>>>,
    created: AtomicU64,
    invocations: AtomicU64,
    freed: Notify,
}

impl Fleet {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        let (processes, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { world, processes, created: AtomicU64::new(0), invocations: AtomicU64::new(0), freed })
    }

    /// Runs `work` in a process of `function`, for an event that comes from outside. Returns `None`
    /// if the process died.
    pub(crate) async fn invoke<T, F>(&self, function: Function, work: impl FnOnce(Arc<Process>) -> F) -> Option<T>
    where
        F: Future<Output = T>,
    {
        self.invoke_from(function, Lineage::default(), work).await
    }

    /// Runs `work` in a process of `function`, for an event with this lineage. Returns `None` if
    /// the process died.
    pub(crate) async fn invoke_from<T, F>(
        &self,
        function: Function,
        lineage: Lineage,
        work: impl FnOnce(Arc<Process>) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let process = self.acquire(function).await;
        let caller = Arc::clone(&process.caller);
        let invocation = self.invocations.fetch_add(1, Ordering::Relaxed);
        caller.invocation.store(invocation, Ordering::Relaxed);
        *caller.lineage.lock().unwrap_or_else(PoisonError::into_inner) = lineage;
        let now_ms = self.world.now_ms();
        let was_frozen = now_ms.saturating_sub(caller.idle_since_ms.load(Ordering::Relaxed)) >= FREEZE_MS;
        if was_frozen && self.world.injects_faults() && self.world.dice.permille(self.world.plan.dead_connections) {
            caller.connections_dead.store(true, Ordering::Relaxed);
        }
        self.world.record().invocations.insert(invocation, now_ms);
        self.world.trace(|| format!("p{} {function:?} begins i{invocation}", caller.number));
        let result = tokio::select! {
            biased;
            () = caller.killed.cancelled() => None,
            result = async {
                process.start().await;
                work(Arc::clone(&process)).await
            } => Some(result),
            () = tokio::time::sleep(STACK.function(function.name()).timeout) => {
                self.world.record_fault(Kind::Hang, Some(invocation), "");
                caller.kill();
                None
            }
        };
        // A process that is killed in the same step in which its work ends counts as dead.
        let result = result.filter(|_| !caller.killed.is_cancelled());
        self.world.trace(|| format!("p{} ends i{invocation}, alive: {}", caller.number, result.is_some()));
        if result.is_none() {
            self.lock().retain(|other| !Arc::ptr_eq(other, &process));
        }
        caller.idle_since_ms.store(self.world.now_ms(), Ordering::Relaxed);
        process.busy.store(false, Ordering::Relaxed);
        self.freed.notify_waiters();
        result
    }

    /// Waits for an idle process, or creates a new one.
    async fn acquire(&self, function: Function) -> Arc<Process> {
        loop {
            let freed = self.freed.notified();
            if let Some(process) = self.try_acquire(function) {
                return process;
            }
            freed.await;
        }
    }

    fn try_acquire(&self, function: Function) -> Option<Arc<Process>> {
        let mut processes = self.lock();
        let of_function = || processes.iter().filter(|process| process.caller.function == function);
        let idle: Vec<_> = of_function().filter(|process| !process.busy.load(Ordering::Relaxed)).cloned().collect();
        // Lambda may start a new process although another is idle.
        let has_room = of_function().count() < function.concurrency();
        let process = if has_room && (idle.is_empty() || self.world.dice.permille(100)) {
            let process = Arc::new(self.create(function));
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

    fn create(&self, function: Function) -> Process {
        let world = &self.world;
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        let skew_ms =
            if world.injects_faults() { world.dice.between(-world.plan.skew_ms, world.plan.skew_ms) } else { 0 };
        if skew_ms != 0 {
            world.record_fault(Kind::ClockSkewed, None, &format!("p{number} {skew_ms} ms"));
        }
        let caller = Arc::new(Caller {
            world: Arc::clone(world),
            number,
            function,
            invocation: AtomicU64::new(0),
            lineage: Mutex::default(),
            unprocessed: Mutex::default(),
            connections_dead: AtomicBool::new(false),
            idle_since_ms: AtomicI64::new(i64::MAX),
            killed: CancellationToken::new(),
        });
        let app = app(&caller, skew_ms);
        let (resolving, sending) = (Arc::clone(&caller), Arc::clone(&caller));
        let endpoints = EndpointClient::in_process(
            EndpointPolicy::Strict,
            move |name| receivers::resolve(&resolving, name),
            Arc::new(move |request| receivers::receive(Arc::clone(&sending), request).boxed()),
        );
        let deliverer = Deliverer::new(app.clone(), endpoints);
        Process {
            router: api::router(app.clone()),
            app,
            deliverer,
            caller,
            busy: AtomicBool::new(false),
            started: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Process>>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates the app of one process. Each process has its own retry quota of the SDK; by default, all
/// processes of the simulation would share one.
fn app(caller: &Arc<Caller>, skew_ms: i64) -> App {
    let world = &caller.world;
    let aws = world.aws.sdk_config().to_builder().http_client(FaultyAws(Arc::clone(caller))).build();
    let quota = || RetryPartition::custom("process").build();
    let clients = Clients {
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
    };
    App::new(clients, world.config.clone(), world.clock(skew_ms), world.dice.fork().into_random())
}
