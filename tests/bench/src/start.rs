//! The start of the local process, from exec to the first answer: on an empty folder, on a used one, and on one with many
//! stored deliveries after a stop.

use crate::{
    figures::{Figure, Table, figure, percentile_ms},
    growth::{app, store_deliveries, webhooks_of},
    load::Client,
    receiver::{Behaviour, Receiver},
    stack::{Executable, Stack},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

pub(crate) async fn measure(local: &Executable, quick: bool) -> anyhow::Result<Table> {
    let mut table =
        Table::new("start", "start of the local process, from exec to its first answer (medians, largest memory)");
    let repetitions = if quick { 5 } else { 21 };
    let mut fresh = Samples::default();
    for _ in 0..repetitions {
        fresh.take(local, local.folder()?.path()).await?;
    }
    table.row("empty folder", fresh.figures());
    let (folder, mut used) = (local.folder()?, Samples::default());
    // The first start makes the folder a used one.
    Samples::default().take(local, folder.path()).await?;
    for _ in 0..repetitions {
        used.take(local, folder.path()).await?;
    }
    table.row("used folder", used.figures());
    let deliveries = if quick { 20_000 } else { 1_000_000 };
    let (folder, mut full) = (local.folder()?, Samples::default());
    {
        let (app, receiver) = (app(folder.path()).await?, Receiver::start(Behaviour::Answer(200)).await?);
        let webhook = &webhooks_of(&app, "default", &receiver, 1).await?[0];
        store_deliveries(&app, webhook, deliveries).await?;
    }
    for _ in 0..repetitions {
        full.take(local, folder.path()).await?;
    }
    table.row(format!("{deliveries} stored deliveries"), full.figures());
    Ok(table)
}

/// The samples of several starts.
#[derive(Default)]
struct Samples {
    listening: Vec<Duration>,
    answered: Vec<Duration>,
    cpu: Vec<Duration>,
    /// The largest of all starts.
    memory_mb: f64,
}

impl Samples {
    /// Starts the process once, and records the samples.
    async fn take(&mut self, local: &Executable, folder: &Path) -> anyhow::Result<()> {
        let began = Instant::now();
        let stack = Stack::start(local, folder, &[]).await?;
        let client = Client::of(&stack);
        client.connect().await?.exchange(&client.request("GET", "/v1/webhooks", "default", "")).await?;
        self.answered.push(began.elapsed());
        self.listening.push(stack.listening_in);
        self.cpu.push(stack.usage().cpu_exactly()?);
        self.memory_mb = self.memory_mb.max(stack.usage().peak_memory_mb()?);
        stack.stop().await
    }

    fn figures(mut self) -> Vec<Figure> {
        vec![
            figure("listening", "ms", percentile_ms(&mut self.listening, 0.5)),
            figure("first answer", "ms", percentile_ms(&mut self.answered, 0.5)),
            figure("CPU", "ms", percentile_ms(&mut self.cpu, 0.5)),
            figure("memory", "MB", self.memory_mb),
        ]
    }
}
