//! Hookline under a deterministic simulation: the real handlers on the embedded AWS, in simulated time, with everything that
//! may go wrong going wrong. One seed decides everything, and `SEED=… cargo test -p tests --test simulation` repeats it.
//!
//! | file | holds |
//! |---|---|
//! | `plan.rs`, `dice.rs` | what a seed is about; chance |
//! | `world.rs` | the clock, the AWS and the record of what happened |
//! | `processes.rs` | the processes that run the handlers, and die |
//! | `aws.rs`, `outages.rs` | the faults of calls of AWS |
//! | `lineage.rs` | what messages come from |
//! | `history.rs` | what a read may be answered with that need not be consistent |
//! | `throughput.rs` | what a partition and a queue take in a second |
//! | `deployed.rs` | the template that the run is held to |
//! | `sources.rs` | what invokes the handlers: queues and schedules |
//! | `receivers.rs`, `users.rs`, `ledger.rs` | everybody outside, and what they were promised |
//! | `faults.rs` | the kinds of faults, counted |
//! | `invariants/` | what must hold in the end |
//! | `mutants.rs` | mistakes that must not go unseen |
//! | `late_messages.rs` | a rate limit where every message is handled late |

mod aws;
mod deployed;
mod dice;
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
mod sources;
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

/// What came of one seed, or of many.
#[derive(Default)]
struct Outcome {
    counts: Counts,
    trace: u64,
    calls: u64,
    posts: usize,
    violations: Vec<String>,
    grants: BTreeSet<(&'static str, Grant)>,
    longest_chains: BTreeMap<&'static str, u32>,
}

/// Runs one seed.
fn run(seed: u64, shown: bool) -> Outcome {
    // The SDK's own chance: the jitter of its retries, its idempotency tokens.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(live(seed, shown))
}

async fn live(seed: u64, shown: bool) -> Outcome {
    let world = World::new(seed, shown).await;
    let fleet = Fleet::new(world.clone());
    tokio::spawn(sources::poll_queue(fleet.clone(), DELIVERIES, Function::Deliver));
    tokio::spawn(sources::poll_queue(fleet.clone(), SLOW_DELIVERIES, Function::Deliver));
    tokio::spawn(sources::poll_queue(fleet.clone(), EVENTS, Function::Publish));
    tokio::spawn(sources::fire_schedules(fleet.clone()));
    let users = Users::new(fleet).await;
    users.settle_in().await;
    world.set_calm(false);
    users.act().await;
    world.set_calm(true);
    world.receivers.settle();
    quiet(&world).await;
    world.receivers.heal();
    if !world.is_broken() {
        users.recover_all().await;
    }
    quiet(&world).await;
    let violations = if world.is_broken() { vec![] } else { invariants::check(&world).await };
    let record = world.record();
    let violations = record.breaches.iter().cloned().chain(violations).collect();
    Outcome {
        violations,
        grants: record.grants.clone(),
        longest_chains: record.longest_chains.clone(),
        counts: record.counts.clone(),
        trace: world.trace_hash(),
        calls: world.calls(),
        posts: record.posts.len(),
    }
}

/// Lets time pass until nothing is left to do, dead-letter queues redriven; or until it is clear that the seed has failed.
async fn quiet(world: &World) {
    for _ in 0..10_000 {
        if world.is_broken() {
            return;
        }
        let wait_ms = world.alarms.next_ms().map_or(0, |next_ms| next_ms - world.now_ms());
        tokio::time::sleep(Duration::from_millis(wait_ms.max(1_000) as u64)).await;
        let scheduled = world.alarms.scheduled.lock().expect("unpoisoned").len();
        if world.under_way.load(Ordering::Relaxed) > 0 || scheduled > 0 {
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
    panic!("it never becomes quiet");
}

/// Puts what is on the dead-letter queues back on the queues; whether there was any.
async fn redrive(world: &World) -> bool {
    let mut found = false;
    for queue in [DELIVERIES, EVENTS] {
        let dead = format!("{queue}-dead-letters");
        while world.messages_on(&dead).await > 0 {
            for message in world.receive(&dead).await {
                world.fault(Kind::DeadLettered, None, queue);
                world.send(queue, message.body.as_deref().unwrap_or_default()).await;
                world.delete(&dead, &message).await;
                found = true;
            }
        }
    }
    found
}

/// The seeds that `cargo test` runs.
const SEEDS: u64 = 100;
/// Seeds in which every kind of fault comes up: the rarest, a stale read that differs, takes some hundreds.
const EVERY_KIND_SEEDS: u64 = 1_000;

/// Violations after which no more seeds are run; of a mutant, one is enough.
fn failures_max() -> usize {
    if std::env::var_os("MUTANT").is_some_and(|mutant| !mutant.is_empty()) { 1 } else { 10 }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Runs seeds `first..first + count` on every core; gives what came of them all, and the seeds that failed.
fn run_many(first: u64, count: u64) -> (Outcome, Vec<String>) {
    let next = AtomicU64::new(first);
    let total = Mutex::new((Outcome::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || total.lock().expect("unpoisoned").1.len() >= failures_max() {
                return;
            }
            let outcome = std::panic::catch_unwind(|| run(seed, false)).unwrap_or_else(|_| Outcome {
                violations: vec!["it panicked, as printed above".to_owned()],
                ..Outcome::default()
            });
            let (sum, failures) = &mut *total.lock().expect("unpoisoned");
            sum.counts.merge(&outcome.counts);
            sum.grants.extend(outcome.grants);
            for (function, chain) in outcome.longest_chains {
                let longest = sum.longest_chains.entry(function).or_default();
                *longest = (*longest).max(chain);
            }
            sum.calls += outcome.calls;
            sum.posts += outcome.posts;
            let line = format!("SEED={seed} cargo test -p tests --test simulation");
            failures.extend(outcome.violations.iter().map(|violation| format!("{line}: {violation}")));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("unpoisoned")
}

/// `SEED=…` runs one seed and prints its trace; `SEEDS=…` runs so many, from `FIRST_SEED=…` on.
#[test]
fn the_invariants_hold_whatever_goes_wrong() {
    if let Some(seed) = number("SEED") {
        let outcome = run(seed, true);
        assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let (sum, failures) = run_many(number("FIRST_SEED").unwrap_or(0), seeds);
    println!("{seeds} seeds, {} calls of AWS, {} requests to receivers; faults by kind:", sum.calls, sum.posts);
    println!("{}", sum.counts);
    println!("longest chains of one function's invocations: {:?}", sum.longest_chains);
    println!("granted and never used: {:#?}", deployed::unused(&sum.grants));
    assert!(failures.is_empty(), "{} violations:\n{}", failures.len(), failures.join("\n"));
    let missing = sum.counts.missing();
    assert!(seeds < EVERY_KIND_SEEDS || missing.is_empty(), "faults that never happened: {missing:?}");
}

#[test]
fn a_seed_repeats_exactly() {
    for seed in 0..10 {
        assert_eq!(run(seed, false).trace, run(seed, false).trace, "seed {seed}");
    }
}
