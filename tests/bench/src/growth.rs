//! Measures whether an event costs the same with more webhooks, stored deliveries, accounts,
//! waiting messages or failures. Each case is compared with the small one of the same run.
//!
//! The data are made in this process with the product's own functions, which is faster than the
//! API. Then the measured process is started on them.

use crate::{
    figures::{Figure, Table, figure, percentile_ms},
    load::{Client, Sent, answer_times, arrival_times},
    receiver::{Behaviour, Receiver},
    stack::{Executable, Stack},
    throughput::{CONNECTIONS, settled},
};
use application::App;
use domain::{
    account::AccountId,
    backoff::RetrySchedule,
    delivery::{Attempt, Delivery, DeliveryStatus, Outcome, Task, Trigger},
    endpoint_policy::EndpointPolicy,
    id::{EventId, WebhookId},
    random::Random,
    secret::Secret,
    time::Clock,
    webhook::Webhook,
};
use embedded_aws::EmbeddedAws;
use futures::future::try_join_all;
use local::provision;
use std::{path::Path, time::Duration};
use store::{
    deliveries::{self, Put, Versioned},
    queues, tasks, webhooks,
};

/// Events a second while times are measured.
const PER_SECOND: u32 = 25;
/// The longest wait for the deliveries of a case.
const LIMIT: Duration = Duration::from_secs(600);
/// Concurrent calls while data are made.
const AT_ONCE: usize = 100;
/// The account of all events in cases with one account.
const ACCOUNT: &str = "default";
/// Another account, whose messages wait in the queue.
const OTHER: &str = "other";

/// The cost of an event in one case.
struct Sample {
    publish_ms: f64,
    arrival_ms: f64,
    /// Seconds a thousand requests to receivers.
    cpu: f64,
    memory_mb: f64,
}

impl Sample {
    fn figures(&self, small: &Self) -> Vec<Figure> {
        vec![
            figure("publish", "ms", self.publish_ms),
            figure("publish", "x", self.publish_ms / small.publish_ms),
            figure("arrival", "ms", self.arrival_ms),
            figure("CPU", "s/1000", self.cpu),
            figure("CPU", "x", self.cpu / small.cpu),
            figure("memory", "MB", self.memory_mb),
        ]
    }
}

pub(crate) async fn measure(local: &Executable, quick: bool) -> anyhow::Result<Table> {
    let mut table = Table::new(
        "growth",
        "median times to publish and to arrive, CPU a thousand deliveries; x is relative to small",
    );
    let (deliveries, backlog) = if quick { (20_000, 10_000) } else { (1_000_000, 100_000) };
    let one = Load { events: if quick { 1_000 } else { 5_000 }, ..Load::ONE };

    let small = case(local, one, async |app, urls| webhooks_of(app, ACCOUNT, urls, 1).await.map(|_| ())).await?;
    table.row("small: 1 webhook", small.figures(&small));
    let stored = case(local, one, async |app, urls| {
        let webhook = &webhooks_of(app, ACCOUNT, urls, 1).await?[0];
        store_deliveries(app, webhook, deliveries).await
    });
    table.row(format!("{deliveries} stored deliveries"), stored.await?.figures(&small));
    let waiting = case(local, one, async |app, urls| {
        webhooks_of(app, ACCOUNT, urls, 1).await?;
        let other = &webhooks_of(app, OTHER, urls, 1).await?[0];
        leave_waiting(app, other, backlog).await
    });
    table.row(format!("{backlog} messages waiting"), waiting.await?.figures(&small));
    let accounts = Load { accounts: 1_000, ..one };
    let accounts = case(local, accounts, async |app, urls| {
        for number in 0..1_000 {
            webhooks_of(app, &format!("account{number}"), urls, 1).await?;
        }
        Ok(())
    });
    table.row("1000 accounts", accounts.await?.figures(&small));
    let storm = Load { behaviour: Behaviour::FailOnce, attempts: 2, ..one };
    let storm = case(local, storm, async |app, urls| webhooks_of(app, ACCOUNT, urls, 1).await.map(|_| ()));
    table.row("retry storm, per attempt", storm.await?.figures(&small));

    // An event for 10,000 webhooks keeps the machine busy for a while, so each waits for the one
    // before.
    let apart = Load { webhooks: 10, events: one.events / 10, steady: 20, apart: true, ..one };
    let ten = case(local, apart, async |app, urls| webhooks_of(app, ACCOUNT, urls, 10).await.map(|_| ())).await?;
    table.row("10 webhooks", ten.figures(&ten));
    for webhooks in if quick { [100, 1_000] } else { [1_000, 10_000] } {
        let load = Load { webhooks, events: 3, steady: 11, ..apart };
        let many = case(local, load, async |app, urls| webhooks_of(app, ACCOUNT, urls, webhooks).await.map(|_| ()));
        table.row(format!("{webhooks} webhooks, x relative to 10"), many.await?.figures(&ten));
    }
    Ok(table)
}

/// The events of a case.
#[derive(Clone, Copy)]
struct Load {
    accounts: usize,
    /// The number of webhooks of each account.
    webhooks: usize,
    /// The number of events in the burst, for which CPU is measured.
    events: usize,
    /// The number of events before it, for which times are measured.
    steady: usize,
    /// Whether each of those waits until everything that the one before caused is done. Otherwise
    /// they come at a steady rate.
    apart: bool,
    behaviour: Behaviour,
    /// The number of attempts of each delivery.
    attempts: usize,
}

impl Load {
    const ONE: Self = Self {
        accounts: 1,
        webhooks: 1,
        events: 0,
        steady: 100,
        apart: false,
        behaviour: Behaviour::Answer(200),
        attempts: 1,
    };
}

/// Makes the data of a folder with `make`, starts the process on it, and publishes.
async fn case<F>(local: &Executable, load: Load, make: F) -> anyhow::Result<Sample>
where
    F: AsyncFn(&App, &Receiver) -> anyhow::Result<()>,
{
    let (folder, receiver) = (local.folder()?, Receiver::start(load.behaviour).await?);
    make(&app(folder.path()).await?, &receiver).await?;
    let stack = Stack::start(local, folder.path(), &["--retry-schedule", "0s,1s,1s"]).await?;
    let client = Client::of(&stack);
    let publisher = client.clone();
    let account = move |number: usize| match load.accounts {
        1 => ACCOUNT.to_owned(),
        accounts => format!("account{}", number % accounts),
    };
    let make = move |number| publisher.publish(&account(number), number);
    let sent = if load.apart {
        let mut sent = Vec::new();
        for number in 0..load.steady {
            let make = make.clone();
            sent.extend(alone(client.clone(), move |_| make(number)).await?);
            receiver.wait_for((number + 1) * load.webhooks, LIMIT).await?;
            settled(&stack).await?;
        }
        sent
    } else {
        client.steady(load.steady, PER_SECOND, make.clone()).await?
    };
    let arrivals = receiver.wait_for(load.steady * load.webhooks, LIMIT).await?;
    settled(&stack).await?;
    let before = stack.usage().cpu_s()?;
    client.burst(CONNECTIONS, load.events, move |number| make(load.steady + number)).await?;
    let requests = (load.steady + load.events) * load.webhooks * load.attempts;
    receiver.wait_for_requests(requests, LIMIT).await?;
    settled(&stack).await?;
    let cpu = (stack.usage().cpu_s()? - before) / (load.events * load.webhooks * load.attempts) as f64 * 1000.0;
    let mut publish = answer_times(&sent);
    Ok(Sample {
        publish_ms: percentile_ms(&mut publish, 0.5),
        arrival_ms: percentile_ms(&mut arrival_times(&sent, &arrivals), 0.5),
        cpu,
        memory_mb: stack.usage().peak_memory_mb()?,
    })
}

/// Publishes one event from a thread of its own, so that its time includes no wait for the
/// receivers in this process.
async fn alone<F>(client: Client, make: F) -> anyhow::Result<Vec<Sent>>
where
    F: Fn(usize) -> Vec<u8> + Clone + Send + 'static,
{
    let publish = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(client.burst(1, 1, make))
    };
    tokio::task::spawn_blocking(publish).await?
}

/// Opens Hookline on the folder, in this process.
pub(crate) async fn app(folder: &Path) -> anyhow::Result<App> {
    app_at(folder, Clock::system()).await
}

/// Opens Hookline on the folder, in this process and at another time.
pub(crate) async fn app_at(folder: &Path, clock: Clock) -> anyhow::Result<App> {
    let aws = EmbeddedAws::open(Some(folder), clock.clone())?;
    let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
    provision::provision(&aws, &config).await?;
    Ok(App::new(aws.clients(), config, clock, Random::system()))
}

/// Creates `count` webhooks of `account` for every event.
pub(crate) async fn webhooks_of(
    app: &App,
    account: &str,
    receiver: &Receiver,
    count: usize,
) -> anyhow::Result<Vec<Webhook>> {
    let (account, now): (AccountId, _) = (account.parse()?, app.clock.now());
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        let url = EndpointPolicy::AllowLoopback.judge_url(&receiver.url(number));
        let url = url.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        let events = vec!["*".parse().map_err(|fault| anyhow::anyhow!("{fault:?}"))?];
        let id = WebhookId::new(now, &app.random);
        made.push(Webhook::new(account.clone(), id, url, events, Secret::generate(&app.random)));
    }
    for some in made.chunks(AT_ONCE) {
        try_join_all(some.iter().map(|webhook| webhooks::create(&app.store, webhook))).await?;
    }
    Ok(made)
}

/// Stores `count` delivered deliveries of a webhook.
pub(crate) async fn store_deliveries(app: &App, webhook: &Webhook, count: usize) -> anyhow::Result<()> {
    let event_type: domain::event_type::EventType =
        crate::load::EVENT_TYPE.parse().map_err(|fault| anyhow::anyhow!("{fault:?}"))?;
    let now = app.clock.now();
    let attempt = Attempt {
        number: 1,
        started_at: now,
        duration_ms: 12,
        status_code: Some(200),
        error: None,
        response_body: Some("ok".to_owned()),
    };
    let outcome = Outcome { status: DeliveryStatus::Delivered, next_attempt_at: None };
    for first in (0..count).step_by(AT_ONCE) {
        let puts = (first..count.min(first + AT_ONCE)).map(|_| {
            let task = Task::first(webhook, EventId::new(now, &app.random));
            let delivery = Delivery::new(&task, event_type.clone());
            let delivery = delivery.recorded(&Trigger::FIRST, attempt.clone(), outcome);
            async move { deliveries::put(&app.store, &Versioned::NONE, delivery).await }
        });
        for written in try_join_all(puts).await? {
            anyhow::ensure!(matches!(written, Put::Written(_)), "a random id was repeated");
        }
    }
    Ok(())
}

/// Leaves `count` tasks on the queue, with a delay that is longer than the measurement.
async fn leave_waiting(app: &App, webhook: &Webhook, count: usize) -> anyhow::Result<()> {
    for first in (0..count).step_by(AT_ONCE * queues::BATCH_MAX) {
        let tasks = (first..count.min(first + AT_ONCE * queues::BATCH_MAX))
            .map(|_| Task::first(webhook, EventId::new(app.clock.now(), &app.random)));
        tasks::enqueue(&app.queues, &tasks.collect::<Vec<_>>(), queues::DELAY_MAX).await?;
    }
    Ok(())
}
