//! The deletion of many expired deliveries by the local process: how long it takes, what it costs, how much it slows down
//! publishing meanwhile, and how much of the disk it gives back.

use crate::{
    figures::{Figure, Table, figure, percentile_ms},
    growth::{app_at, store_deliveries, webhooks_of},
    load::{Client, Sent, answer_times},
    receiver::{Behaviour, Receiver},
    stack::{Executable, Stack},
};
use domain::time::Clock;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Events a second that are published meanwhile.
const PER_SECOND: u32 = 25;
/// How long events are published without a sweep. The first sweep begins a minute after the start.
const ALONE: Duration = Duration::from_secs(40);
/// How long ago the deliveries were stored: a day longer than they are kept.
const AGE: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// The sweep is over when the file has kept its size this long.
const QUIET: Duration = Duration::from_secs(20);
/// The longest wait for the end of the sweep.
const LIMIT: Duration = Duration::from_secs(1_200);

pub(crate) async fn measure(local: &Executable, quick: bool) -> anyhow::Result<Table> {
    let mut table = Table::new("expiry", "deletion of expired deliveries, and the time of a publish request meanwhile");
    let deliveries = if quick { 20_000 } else { 1_000_000 };
    table.row(format!("{deliveries} expired deliveries"), sweep(local, deliveries).await?);
    Ok(table)
}

async fn sweep(local: &Executable, deliveries: usize) -> anyhow::Result<Vec<Figure>> {
    let (folder, receiver) = (local.folder()?, Receiver::start(Behaviour::Answer(200)).await?);
    {
        let app = app_at(folder.path(), Clock::new(|| Clock::system().now().minus(AGE))).await?;
        let webhook = &webhooks_of(&app, "default", &receiver, 1).await?[0];
        store_deliveries(&app, webhook, deliveries).await?;
    }
    let before_mb = size_mb(folder.path())?;
    let stack = Stack::start(local, folder.path(), &[]).await?;
    let client = Client::of(&stack);
    let cpu_before = stack.usage().cpu_s()?;
    let alone = publish(&client, ALONE).await?;
    let cpu_alone = stack.usage().cpu_s()? - cpu_before;

    let (began, cpu_before, mut beside) = (Instant::now(), stack.usage().cpu_s()?, Vec::new());
    let (mut smallest_mb, mut shrank_at) = (f64::MAX, Instant::now());
    while smallest_mb >= before_mb || shrank_at.elapsed() < QUIET {
        anyhow::ensure!(began.elapsed() < LIMIT, "the file still has {smallest_mb} of {before_mb} MB");
        beside.extend(publish(&client, Duration::from_secs(5)).await?);
        let now_mb = size_mb(folder.path())?;
        if now_mb < smallest_mb {
            (smallest_mb, shrank_at) = (now_mb, Instant::now());
        }
    }
    let took = shrank_at.duration_since(began);
    // The quiet time at the end costs as much as the time before the sweep.
    let quiet_share = cpu_alone / ALONE.as_secs_f64() * began.elapsed().as_secs_f64();
    let cpu = stack.usage().cpu_s()? - cpu_before - quiet_share;
    let (mut alone, mut beside) = (answer_times(&alone), answer_times(&beside));
    Ok(vec![
        figure("time", "s", took.as_secs_f64()),
        figure("CPU", "s", cpu),
        figure("file before", "MB", before_mb),
        figure("after", "MB", smallest_mb),
        figure("p50 alone", "ms", percentile_ms(&mut alone, 0.5)),
        figure("beside", "ms", percentile_ms(&mut beside, 0.5)),
        figure("p99 alone", "ms", percentile_ms(&mut alone, 0.99)),
        figure("p99 beside", "ms", percentile_ms(&mut beside, 0.99)),
    ])
}

/// Publishes events at a steady rate for `time`.
async fn publish(client: &Client, time: Duration) -> anyhow::Result<Vec<Sent>> {
    let (count, publisher) = (time.as_secs() as usize * PER_SECOND as usize, client.clone());
    client.steady(count, PER_SECOND, move |number| publisher.publish("default", number)).await
}

/// Returns the size of the database.
fn size_mb(folder: &Path) -> anyhow::Result<f64> {
    Ok(folder.join("aws.sqlite3").metadata()?.len() as f64 / 1e6)
}
