//! A burst: events are published as fast as they are accepted, to 1 and to 10 webhooks. The cost of
//! a delivery is the CPU from the first event until the process is idle again, divided by the
//! number of deliveries.

use crate::{
    figures::{Figure, Table, figure, percentiles},
    load::{Client, Sent, arrival_times},
    receiver::{Arrival, Behaviour, Receiver},
    stack::{Executable, Stack, Usage},
};
use std::time::{Duration, Instant};

/// The longest wait for the arrivals of a burst.
const LIMIT: Duration = Duration::from_secs(300);
/// How often it is looked whether a process is idle again.
const STEP: Duration = Duration::from_millis(200);
/// The number of connections that publish events one by one.
pub(crate) const CONNECTIONS: usize = 64;
/// The number of events in a batch.
const BATCH: usize = 100;
/// The number of connections that publish batches.
const BATCH_CONNECTIONS: usize = 8;

/// How the events of a burst are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publish {
    OneByOne,
    InBatches,
}

pub(crate) async fn measure(local: &Executable, quick: bool) -> anyhow::Result<Table> {
    let mut table = Table::new("throughput", "a burst of 1 KB events; each event is on disk before its 202");
    let deliveries = if quick { 10_000 } else { 60_000 };
    for webhooks in [1, 10] {
        for publish in [Publish::OneByOne, Publish::InBatches] {
            let figures = burst(local, webhooks, deliveries / webhooks, publish).await?;
            let how = if publish == Publish::OneByOne { "one by one" } else { "batches of 100" };
            table.row(format!("{webhooks} webhooks, {how}"), figures);
        }
    }
    Ok(table)
}

async fn burst(local: &Executable, webhooks: usize, events: usize, publish: Publish) -> anyhow::Result<Vec<Figure>> {
    let folder = local.folder()?;
    let stack = Stack::start(local, folder.path(), &[]).await?;
    let (client, receiver) = (Client::of(&stack), Receiver::start(Behaviour::Answer(200)).await?);
    client.register("default", (0..webhooks).map(|number| receiver.url(number))).await?;
    let (cpu_before, own_before, began) = (stack.usage().cpu_s()?, Usage::own().cpu_s()?, Instant::now());
    let sent = send(&client, events, publish).await?;
    let accepted_in = began.elapsed();
    let deliveries = webhooks * events;
    let arrivals = receiver.wait_for(deliveries, LIMIT).await?;
    let last = arrivals.iter().map(|arrival| arrival.at).max().unwrap_or(began);
    let arrived_in = last.duration_since(began);
    settled(&stack).await?;
    let cpu = (stack.usage().cpu_s()? - cpu_before) / deliveries as f64 * 1000.0;
    let own = (Usage::own().cpu_s()? - own_before) / deliveries as f64 * 1000.0;
    let mut figures = vec![
        figure("events", "/s", events as f64 / accepted_in.as_secs_f64()),
        figure("deliveries", "/s", deliveries as f64 / arrived_in.as_secs_f64()),
        figure("CPU", "s/1000", cpu),
        figure("load CPU", "s/1000", own),
        figure("memory", "MB", stack.usage().peak_memory_mb()?),
        figure("repeated", "", (arrivals.len() - deliveries) as f64),
    ];
    figures.extend(arrival_percentiles(&sent, &arrivals, publish));
    Ok(figures)
}

/// Publishes the events, and returns one entry for each.
async fn send(client: &Client, events: usize, publish: Publish) -> anyhow::Result<Vec<Sent>> {
    let publisher = client.clone();
    match publish {
        Publish::OneByOne => {
            client.burst(CONNECTIONS, events, move |number| publisher.publish("default", number)).await
        }
        Publish::InBatches => {
            let make = move |batch: usize| publisher.publish_batch("default", batch * BATCH, BATCH);
            let batches = client.burst(BATCH_CONNECTIONS, events / BATCH, make).await?;
            Ok(batches.into_iter().flat_map(|sent| std::iter::repeat_n(sent, BATCH)).collect())
        }
    }
}

fn arrival_percentiles(sent: &[Sent], arrivals: &[Arrival], publish: Publish) -> Vec<Figure> {
    // The events of a batch are sent together, so they have no times of their own.
    if publish == Publish::OneByOne { percentiles(arrival_times(sent, arrivals)) } else { Vec::new() }
}

/// Waits until the process uses almost no CPU. After the last arrival it still records attempts and
/// deletes messages, which is part of the cost of deliveries.
pub(crate) async fn settled(stack: &Stack) -> anyhow::Result<()> {
    settled_to(|| stack.usage().cpu_s(), 0.0, Duration::MAX).await
}

/// Waits until what `cpu_s` counts grows by hardly more than `idle` seconds a second, at most for `limit`.
pub(crate) async fn settled_to(
    cpu_s: impl Fn() -> anyhow::Result<f64>,
    idle: f64,
    limit: Duration,
) -> anyhow::Result<()> {
    let (began, mut before) = (Instant::now(), cpu_s()?);
    while began.elapsed() < limit {
        tokio::time::sleep(STEP).await;
        let now = cpu_s()?;
        if now - before <= idle * STEP.as_secs_f64() + 0.01 {
            break;
        }
        before = now;
    }
    Ok(())
}
