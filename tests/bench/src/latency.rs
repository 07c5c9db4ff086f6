//! The time from publishing an event to its arrival, at a rate that leaves the machine idle most of
//! the time.

use crate::{
    figures::{Table, percentiles},
    load::{Client, answer_times, arrival_times},
    receiver::{Behaviour, Receiver},
    stack::{Executable, Stack},
};
use std::time::Duration;

/// Events a second.
const PER_SECOND: u32 = 100;
/// The number of first events, which open connections and fill caches, and are not counted.
const WARM_UP: usize = 50;
/// The longest wait for the last arrivals.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn measure(local: &Executable, quick: bool) -> anyhow::Result<Table> {
    let mut table = Table::new("latency", "time from publishing to arrival, at 100 events a second to one webhook");
    let folder = local.folder()?;
    let stack = Stack::start(local, folder.path(), &[]).await?;
    let (client, receiver) = (Client::of(&stack), Receiver::start(Behaviour::Answer(200)).await?);
    client.register("default", [receiver.url(0)]).await?;
    let count = PER_SECOND as usize * if quick { 10 } else { 60 };
    let publisher = client.clone();
    let sent = client.steady(count, PER_SECOND, move |number| publisher.publish("default", number)).await?;
    let arrivals = receiver.wait_for(count, LIMIT).await?;
    let counted: Vec<_> = arrivals.into_iter().filter(|arrival| arrival.number >= WARM_UP).collect();
    table.row("publish to arrival", percentiles(arrival_times(&sent, &counted)));
    table.row("publish to 202", percentiles(answer_times(&sent[WARM_UP..])));
    Ok(table)
}
