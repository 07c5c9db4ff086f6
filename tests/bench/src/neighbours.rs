//! Arrival times at a healthy endpoint, alone and beside endpoints that hang or fail.

use crate::{
    figures::{Figure, Table, figure, percentiles},
    load::{Client, arrival_times},
    receiver::{Behaviour, Receiver},
    stack::{Executable, Stack},
};
use std::time::Duration;

/// Events a second. Each goes to every endpoint.
const PER_SECOND: u32 = 50;
/// The longest wait for the last arrivals at the healthy endpoint.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn measure(local: &Executable, quick: bool) -> anyhow::Result<Table> {
    let mut table =
        Table::new("neighbours", "time from publishing to arrival at a healthy endpoint, at 50 events a second");
    let count = PER_SECOND as usize * if quick { 10 } else { 30 };
    table.row("alone", healthy(local, count, None).await?);
    table.row("beside one that hangs", healthy(local, count, Some((1, Behaviour::Hang))).await?);
    table.row("beside ten that hang", healthy(local, count, Some((10, Behaviour::Hang))).await?);
    table.row("beside one that fails", healthy(local, count, Some((1, Behaviour::Answer(500)))).await?);
    Ok(table)
}

/// Measures the arrivals at a healthy endpoint. `neighbours` is the number of other webhooks, and
/// how their receivers behave.
async fn healthy(
    local: &Executable,
    count: usize,
    neighbours: Option<(usize, Behaviour)>,
) -> anyhow::Result<Vec<Figure>> {
    let folder = local.folder()?;
    let stack = Stack::start(local, folder.path(), &[]).await?;
    let (client, receiver) = (Client::of(&stack), Receiver::start(Behaviour::Answer(200)).await?);
    client.register("default", [receiver.url(0)]).await?;
    let mut others = Vec::new();
    if let Some((webhooks, behaviour)) = neighbours {
        for _ in 0..webhooks {
            others.push(Receiver::start(behaviour).await?);
        }
    }
    client.register("default", others.iter().map(|other| other.url(1))).await?;
    let publisher = client.clone();
    let sent = client.steady(count, PER_SECOND, move |number| publisher.publish("default", number)).await?;
    let arrivals = receiver.wait_for(count, LIMIT).await?;
    let mut figures = percentiles(arrival_times(&sent, &arrivals));
    figures.push(figure("memory", "MB", stack.usage().peak_memory_mb()?));
    Ok(figures)
}
