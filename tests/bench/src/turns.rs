//! Systems in turns: A B A B. What disturbs the machine for a while disturbs both.

use crate::{
    figures::{Spread, Table, figure, percentile_ms},
    load::{Sent, arrival_times},
    processes::Snapshot,
    receiver::{Behaviour, Receiver},
    system::{Kind, System},
    throughput::{CONNECTIONS, settled_to},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest wait for arrivals, after the last event was sent.
const LIMIT: Duration = Duration::from_secs(300);
/// How long the CPU of an idle system is watched.
const IDLE: Duration = Duration::from_secs(1);
/// The longest wait until a system is idle again.
const SETTLED_LIMIT: Duration = Duration::from_secs(20);

/// What is asked of each system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) label: &'static str,
    pub(crate) webhooks: usize,
    /// Events a second, or `None` for a burst.
    pub(crate) per_second: Option<u32>,
    pub(crate) events: usize,
    /// Events before those, which open connections and fill caches.
    pub(crate) warm_up: usize,
}

/// The figures of one system in one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// CPU seconds a thousand deliveries.
    cpu: f64,
    p50_ms: f64,
    p99_ms: f64,
    deliveries_per_s: f64,
    /// CPU seconds a second of all processes that belong neither to the system nor to the bench.
    others: f64,
}

/// Measures a case with each system, `rounds` times in turns, and adds a row for each. The rows after the first say how
/// many times the first's figures theirs are.
pub(crate) async fn measure(table: &mut Table, case: Case, systems: &[Kind<'_>], rounds: usize) -> anyhow::Result<()> {
    let mut measured = vec![Vec::new(); systems.len()];
    for _ in 0..rounds {
        for (kind, rounds) in systems.iter().zip(&mut measured) {
            rounds.push(round(case, *kind).await?);
        }
    }
    let spread = |rounds: &[Round], of: fn(&Round) -> f64| Spread::of(rounds.iter().map(of));
    for (index, (kind, rounds)) in systems.iter().zip(&measured).enumerate() {
        let mut figures = Vec::new();
        let columns: [(_, _, fn(&Round) -> f64); 3] = [
            ("CPU", "s/1000", |round| round.cpu),
            ("p50", "ms", |round| round.p50_ms),
            ("p99", "ms", |round| round.p99_ms),
        ];
        for (name, unit, of) in columns {
            let base = (index > 0).then(|| (spread(&measured[0], of), systems[0].times()));
            figures.extend(spread(rounds, of).figures(name, unit, base));
        }
        let others = spread(rounds, |round| round.others);
        figures.push(figure("deliveries", "/s", spread(rounds, |round| round.deliveries_per_s).median));
        figures.push(figure("others' CPU", "s/s", others.median));
        figures.push(figure("others' CPU", "most", others.most));
        table.row(format!("{}, {}", case.label, kind.name()), figures);
    }
    Ok(())
}

async fn round(case: Case, kind: Kind<'_>) -> anyhow::Result<Round> {
    let receiver = Receiver::start(Behaviour::Answer(200)).await?;
    let system = kind.start((0..case.webhooks).map(|number| receiver.url(number)).collect()).await?;
    let publish = Arc::clone(&system.publish);
    system.client.burst(1, case.warm_up, move |number| publish(number)).await?;
    receiver.wait_for(case.warm_up * case.webhooks, LIMIT).await?;
    settled(&system, 0.0).await?;
    let idle = Reading::take(&system)?;
    tokio::time::sleep(IDLE).await;
    let (before, began) = (Reading::take(&system)?, Instant::now());
    let idle = before.system_s - idle.system_s;
    let sent = send(case, &system).await?;
    let arrivals = receiver.wait_for((case.warm_up + case.events) * case.webhooks, LIMIT).await?;
    let last = arrivals.iter().map(|arrival| arrival.at).max().unwrap_or(began);
    settled(&system, idle).await?;
    let (after, took) = (Reading::take(&system)?, began.elapsed());
    system.stop().await?;
    let counted = arrivals.into_iter().filter(|arrival| arrival.number >= case.warm_up);
    let counted: Vec<_> = counted
        .map(|mut arrival| {
            arrival.number -= case.warm_up;
            arrival
        })
        .collect();
    let mut times = arrival_times(&sent, &counted);
    let deliveries = (case.events * case.webhooks) as f64;
    Ok(Round {
        cpu: (after.system_s - before.system_s) / deliveries * 1000.0,
        p50_ms: percentile_ms(&mut times, 0.5),
        p99_ms: percentile_ms(&mut times, 0.99),
        deliveries_per_s: deliveries / last.duration_since(began).as_secs_f64(),
        others: (after.others_s - before.others_s) / took.as_secs_f64(),
    })
}

/// Publishes the events of a case.
async fn send(case: Case, system: &System) -> anyhow::Result<Vec<Sent>> {
    let (publish, first) = (Arc::clone(&system.publish), case.warm_up);
    let make = move |number| publish(first + number);
    match case.per_second {
        Some(per_second) => system.client.steady(case.events, per_second, make).await,
        None => system.client.burst(CONNECTIONS, case.events, make).await,
    }
}

/// Waits until a system uses hardly more CPU than `idle`, in seconds a second.
async fn settled(system: &System, idle: f64) -> anyhow::Result<()> {
    settled_to(|| Ok(Reading::take(system)?.system_s), idle, SETTLED_LIMIT).await
}

/// CPU seconds until now.
struct Reading {
    system_s: f64,
    /// Of all processes that belong neither to the system nor to the bench.
    others_s: f64,
}

impl Reading {
    fn take(system: &System) -> anyhow::Result<Self> {
        let all = Snapshot::take()?;
        let system_s = all.families_s(&system.roots);
        Ok(Self { system_s, others_s: all.all_s() - system_s - all.alone_s(std::process::id()) })
    }
}
