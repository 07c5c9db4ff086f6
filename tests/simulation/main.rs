//! A deterministic simulation of Hookline: the real handlers run on the embedded AWS, in simulated
//! time, under every fault that AWS, a process or a receiver can have. One seed decides everything;
//! `SEED=… cargo test -p tests --test simulation` repeats it.
//!
//! | file | holds |
//! |---|---|
//! | `plan.rs` | the settings of one seed |
//! | `dice.rs` | reproducible randomness |
//! | `world.rs` | the clock, AWS, and the record of what happened |
//! | `processes.rs` | the processes that run the handlers, and that may be killed |
//! | `event_sources.rs` | what invokes the handlers: queues and schedules |
//! | `aws.rs` | faults of AWS calls |
//! | `outages.rs` | AWS calls that fail for several seconds |
//! | `throughput.rs` | throttling of partitions and queues |
//! | `history.rs` | older states of items, for reads that need not be consistent |
//! | `lineage.rs` | chains of invocations, which Lambda ends |
//! | `stack.rs` | the deployed template, whose grants and settings hold here |
//! | `receivers.rs` | the receivers |
//! | `users.rs`, `ledger.rs` | the users, and what they were promised |
//! | `faults.rs` | the kinds of faults, counted |
//! | `invariants/` | what must hold in the end |
//! | `mutants.rs` | mistakes that the simulation must catch |
//! | `late_messages.rs` | a rate limit under which every message is handled late |

mod aws;
mod dice;
mod event_sources;
mod faults;
mod history;
mod invariants;
mod late_messages;
mod ledger;
mod lineage;
mod mutants;
mod outages;
mod plan;
mod processes;
mod receivers;
mod stack;
mod throughput;
mod users;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use faults::{Counts, Kind};
use local::provision::{DELIVERIES, EVENTS, SLOW_DELIVERIES};
use processes::{Fleet, Function};
use strict_aws::grants::Grant;
use users::Users;
use world::World;

/// The result of one seed, or the sum over many.
#[derive(Default)]
struct Report {
    counts: Counts,
    trace: u64,
    calls: u64,
    posts: usize,
    violations: Vec<String>,
    grants: BTreeSet<(&'static str, Grant)>,
    longest_chains: BTreeMap<&'static str, u32>,
}

/// Simulates one seed. `verbose` prints its trace.
fn run_seed(seed: u64, verbose: bool) -> Report {
    // The SDK draws the jitter of its retries and its idempotency tokens from this generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulate(seed, verbose))
}

async fn simulate(seed: u64, verbose: bool) -> Report {
    let world = World::new(seed, verbose).await;
    let fleet = Fleet::new(world.clone());
    tokio::spawn(event_sources::poll_queue(fleet.clone(), DELIVERIES, Function::Deliver));
    tokio::spawn(event_sources::poll_queue(fleet.clone(), SLOW_DELIVERIES, Function::Deliver));
    tokio::spawn(event_sources::poll_queue(fleet.clone(), EVENTS, Function::Publish));
    tokio::spawn(event_sources::fire_schedules(fleet.clone()));
    let users = Users::new(fleet).await;
    users.register_first_webhooks().await;
    world.start_faults();
    users.act().await;
    world.stop_faults();
    world.receivers.stop_changing();
    wait_until_idle(&world).await;
    if !world.has_failed() {
        invariants::check_idle(&world);
    }
    world.receivers.become_healthy();
    if !world.has_failed() {
        users.recover_all().await;
    }
    wait_until_idle(&world).await;
    if !world.has_failed() {
        users.finish_polls().await;
    }
    let mut violations = if world.has_failed() { vec![] } else { invariants::check(&world).await };
    // Sessions change nothing that was checked above.
    world.start_faults();
    if !world.has_failed() && world.dice.permille(PORTAL_SEEDS) {
        users.use_portal().await;
    }
    world.stop_faults();
    violations.extend(invariants::portal::check(&world));
    let record = world.record();
    let violations = record.violations.iter().cloned().chain(violations).collect();
    Report {
        violations,
        grants: record.grants.clone(),
        longest_chains: record.longest_chains.clone(),
        counts: record.counts.clone(),
        trace: world.trace_hash(),
        calls: world.calls(),
        posts: record.posts.len(),
    }
}

/// Waits until nothing is left to do, and redrives the dead-letter queues. Returns early if the
/// seed has failed.
async fn wait_until_idle(world: &World) {
    for _ in 0..10_000 {
        if world.has_failed() {
            return;
        }
        let wait_ms = world.timers.next_ms().map_or(0, |next_ms| next_ms - world.now_ms());
        tokio::time::sleep(Duration::from_millis(wait_ms.max(1_000) as u64)).await;
        let open_schedules = world.timers.open_schedules.lock().expect("unpoisoned").len();
        if world.in_progress.load(Ordering::Relaxed) > 0 || open_schedules > 0 {
            continue;
        }
        let mut messages = 0;
        for queue in [DELIVERIES, SLOW_DELIVERIES, EVENTS] {
            messages += world.messages_on(queue).await;
        }
        if messages == 0 && !redrive(world).await {
            return;
        }
    }
    let in_progress = world.in_progress.load(Ordering::Relaxed);
    let open_schedules = world.timers.open_schedules.lock().expect("unpoisoned").clone();
    let mut messages = Vec::new();
    for queue in [DELIVERIES, SLOW_DELIVERIES, EVENTS] {
        messages.push((queue, world.messages_on(queue).await));
    }
    panic!("the world is never idle: {in_progress} in progress, schedules {open_schedules:?}, messages {messages:?}");
}

/// Puts the messages of the dead-letter queues back on their queues. Returns whether there were
/// any.
async fn redrive(world: &World) -> bool {
    let mut found = false;
    for queue in [DELIVERIES, EVENTS] {
        let dead = format!("{queue}-dead-letters");
        while world.messages_on(&dead).await > 0 {
            for message in world.receive(&dead).await {
                world.record_fault(Kind::DeadLettered, None, queue);
                world.send(queue, message.body.as_deref().unwrap_or_default()).await;
                world.delete(&dead, &message).await;
                found = true;
            }
        }
    }
    found
}

/// Seeds in which the portal is used, per thousand.
const PORTAL_SEEDS: u32 = 400;
/// The seeds that `cargo test` runs.
const SEEDS: u64 = 100;
/// Seeds among which every kind of fault must happen. The rarest, a stale read that differs, takes
/// some hundreds.
const EVERY_KIND_SEEDS: u64 = 1_000;

/// Violations after which no more seeds are run. For a mutant, one is enough.
fn failures_max() -> usize {
    if std::env::var_os("MUTANT").is_some_and(|mutant| !mutant.is_empty()) { 1 } else { 10 }
}

/// Reads a number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Runs seeds `first..first + count` on every core. Returns the sum of their reports, and a line
/// for each violation.
fn run_seeds(first: u64, count: u64) -> (Report, Vec<String>) {
    let next = AtomicU64::new(first);
    let total = Mutex::new((Report::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || total.lock().expect("unpoisoned").1.len() >= failures_max() {
                return;
            }
            let report = std::panic::catch_unwind(|| run_seed(seed, false)).unwrap_or_else(|_| Report {
                violations: vec!["the seed panicked; the panic is printed above".to_owned()],
                ..Report::default()
            });
            let (sum, failures) = &mut *total.lock().expect("unpoisoned");
            sum.counts.merge(&report.counts);
            sum.grants.extend(report.grants);
            for (function, chain) in report.longest_chains {
                let longest = sum.longest_chains.entry(function).or_default();
                *longest = (*longest).max(chain);
            }
            sum.calls += report.calls;
            sum.posts += report.posts;
            let command = format!("SEED={seed} cargo test -p tests --test simulation");
            failures.extend(report.violations.iter().map(|violation| format!("{command}: {violation}")));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("unpoisoned")
}

/// `SEED=…` runs one seed and prints its trace. `SEEDS=…` runs that number of seeds, from
/// `FIRST_SEED=…` on.
#[test]
fn the_invariants_hold_whatever_goes_wrong() {
    if let Some(seed) = number("SEED") {
        let report = run_seed(seed, true);
        assert!(report.violations.is_empty(), "{:#?}", report.violations);
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let (sum, failures) = run_seeds(number("FIRST_SEED").unwrap_or(0), seeds);
    println!("{seeds} seeds, {} AWS calls, {} requests to receivers; faults by kind:", sum.calls, sum.posts);
    println!("{}", sum.counts);
    println!("longest chain of invocations of each function: {:?}", sum.longest_chains);
    println!("grants never used: {:#?}", stack::unused_grants(&sum.grants));
    assert!(failures.is_empty(), "{} violations:\n{}", failures.len(), failures.join("\n"));
    let missing = sum.counts.missing();
    assert!(seeds < EVERY_KIND_SEEDS || missing.is_empty(), "faults that never happened: {missing:?}");
}

#[test]
fn a_seed_always_has_the_same_trace() {
    for seed in 0..10 {
        assert_eq!(run_seed(seed, false).trace, run_seed(seed, false).trace, "seed {seed}");
    }
}
