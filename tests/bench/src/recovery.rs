//! The recovery of many held events: what it costs the `publish` function, and how much it slows
//! down publishing meanwhile. The functions are real binaries, one sandbox of each, on a strict AWS
//! in this process.

use crate::{
    figures::{Figure, Table, figure, percentile_ms},
    stack::{Executable, Usage},
    token,
};
use anyhow::Context;
use application::App;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::types::QueueAttributeName;
use domain::{
    account::AccountId,
    backoff::RetrySchedule,
    endpoint_policy::EndpointPolicy,
    event::{Event, NewEvent},
    id::{EventId, WebhookId},
    job::{Job, Recover},
    random::Random,
    secret::Secret,
    time::Clock,
    webhook::{DisabledReason, RecoveryWindow, Webhook},
};
use embedded_aws::EmbeddedAws;
use futures::{StreamExt, TryStreamExt, stream};
use local::{pollers, provision};
use serde_json::{Value, json, value::RawValue};
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use store::{StoreError, events, jobs, webhooks};
use strict_aws::lambda::Lambda;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// Events a second that are published meanwhile.
const PER_SECOND: u32 = 25;
/// Concurrent calls while events are stored.
const AT_ONCE: usize = 100;
/// The longest time for a recovery.
const LIMIT: Duration = Duration::from_secs(900);
/// The time of a call to AWS within the region, as in `cost/meter.rs`. Without it, the functions
/// and the AWS in this process would compete for the same processors, which they do not in AWS.
const CALL: Duration = Duration::from_millis(5);
/// Bytes of the only field in a held event's object.
const OBJECT_BYTES: usize = 1_000;

pub(crate) async fn measure(quick: bool) -> anyhow::Result<Table> {
    let mut table = Table::new(
        "recovery",
        "recovery of held events by one sandbox of publish, and the time of a publish request in api",
    );
    let executables = [Executable::build("publish")?, Executable::build("api")?];
    let events = if quick { 10_000 } else { 100_000 };
    table.row(format!("{events} events"), recover(&executables, events).await?);
    Ok(table)
}

/// A running function.
struct Function {
    lambda: Lambda,
    child: Child,
}

impl Function {
    async fn start(executable: &Executable, aws: &EmbeddedAws, app: &App, name: &'static str) -> anyhow::Result<Self> {
        let lambda = Lambda::listen(aws.clone(), name, CALL).await;
        let mut command = Command::new(executable.path());
        command.env_clear().envs(lambda.environment(app)).kill_on_drop(true);
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        Ok(Self { lambda, child })
    }

    fn usage(&self) -> anyhow::Result<Usage> {
        Ok(Usage::of(self.child.id().context("the function has ended")?))
    }
}

async fn recover([publish, api]: &[Executable; 2], events: u64) -> anyhow::Result<Vec<Figure>> {
    let clock = Clock::system();
    let aws = EmbeddedAws::open(None, clock.clone())?;
    let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
    provision::provision(&aws, &config).await?;
    let app = App::new(aws.clients(), config, clock, Random::system());
    let account: AccountId = "acme".parse()?;
    let token = token::create(&app, &account).await?;
    let webhook = webhook_with_held_events(&app, &account, events).await?;

    let publish = Arc::new(Function::start(publish, &aws, &app, "publish").await?);
    let api = Function::start(api, &aws, &app, "api").await?;
    let (stop, invocations) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let handler = {
        let (publish, invocations) = (Arc::clone(&publish), Arc::clone(&invocations));
        move |event: SqsEvent| {
            let (publish, invocations) = (Arc::clone(&publish), Arc::clone(&invocations));
            async move {
                invocations.fetch_add(1, Ordering::Relaxed);
                let event = serde_json::to_value(event).expect("JSON");
                let answer = publish.lambda.invoke(&event).await.expect("publish answers");
                serde_json::from_value::<SqsBatchResponse>(answer).expect("a batch's answer")
            }
        }
    };
    let events_queue = app.queues.settings.events_url.clone();
    tokio::spawn(pollers::poll_queue(app.clone(), events_queue, 1, stop.clone(), handler));

    // The first request waits for the function's start, so these times are not counted.
    publish_for(&api, &token, Duration::from_secs(1)).await?;
    let mut alone = publish_for(&api, &token, Duration::from_secs(10)).await?;
    let before = waiting(&app).await?;
    let began = Instant::now();
    begin(&app, &webhook).await?;
    let (mut beside, mut published) = (vec![], 0);
    while waiting(&app).await? < before + events + published {
        anyhow::ensure!(began.elapsed() < LIMIT, "{} of {events} tasks were sent", waiting(&app).await? - before);
        let times = publish_for(&api, &token, Duration::from_secs(1)).await?;
        published += times.len() as u64;
        beside.extend(times);
    }
    let took = began.elapsed();
    stop.cancel();
    let (alone_ms, beside_ms) = (percentile_ms(&mut alone, 0.5), percentile_ms(&mut beside, 0.5));
    Ok(vec![
        figure("time", "s", took.as_secs_f64()),
        figure("invocations", "", invocations.load(Ordering::Relaxed) as f64),
        figure("publish memory", "MB", publish.usage()?.peak_memory_mb()?),
        figure("alone p50", "ms", alone_ms),
        figure("beside p50", "ms", beside_ms),
        figure("beside p99", "ms", percentile_ms(&mut beside, 0.99)),
        figure("beside", "x", beside_ms / alone_ms),
    ])
}

/// Creates a webhook that was disabled while `count` events were published, and enables it.
async fn webhook_with_held_events(app: &App, account: &AccountId, count: u64) -> anyhow::Result<Webhook> {
    let now = app.clock.now();
    let id = WebhookId::new(now, &app.random);
    let url = EndpointPolicy::AllowLoopback.judge_url("http://127.0.0.1:9/").expect("a URL");
    let webhook = Webhook::new(
        account.clone(),
        id,
        url,
        vec!["user.*".parse().expect("a subscription")],
        Secret::generate(&app.random),
    );
    webhooks::create(&app.store, &webhook).await?;
    change(app, &webhook, |webhook| webhook.disable(DisabledReason::Manual, app.clock.now())).await?;
    let object = RawValue::from_string(json!({"id": "x".repeat(OBJECT_BYTES)}).to_string())?;
    let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
    let stored = stream::iter(0..count).map(|_| {
        let event = Event::new(account.clone(), EventId::new(app.clock.now(), &app.random), &new);
        async move { events::put(&app.store, &event).await }
    });
    stored.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    change(app, &webhook, |webhook| webhook.enable(app.clock.now())).await
}

/// Changes a webhook, and returns the changed one.
async fn change(app: &App, webhook: &Webhook, change: impl Fn(&mut Webhook)) -> anyhow::Result<Webhook> {
    let change = |webhook: &mut Webhook| -> Result<(), StoreError> {
        change(webhook);
        Ok(())
    };
    webhooks::change(&app.store, &webhook.account, webhook.id, change).await?.context("the webhook is gone")
}

/// Begins the recovery of all events that the webhook has missed.
async fn begin(app: &App, webhook: &Webhook) -> anyhow::Result<()> {
    let now = app.clock.now();
    let enabled_at = webhook.enabled_at.context("the webhook is disabled")?;
    let (first, last) = (EventId::first_at(webhook.created_at), EventId::first_at(enabled_at));
    let window = RecoveryWindow { run: now.unix_ms(), first, last, include_failed: true, backfill: false };
    let webhook = change(app, webhook, |webhook| webhook.add_recovery(window)).await?;
    let job = Recover::of_window(&webhook, window);
    Ok(jobs::enqueue(&app.queues, &webhook.account, &Job::Recover(job)).await?)
}

/// Publishes [`PER_SECOND`] events a second, one at a time, and returns the time of each request.
async fn publish_for(api: &Function, token: &str, time: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let (began, mut took) = (Instant::now(), vec![]);
    let body = json!({"type": "user.created", "data": {"object": {"id": "usr_1"}}}).to_string();
    let event = request("POST", "/v1/events", token, &body);
    while began.elapsed() < time {
        ticks.tick().await;
        let sent = Instant::now();
        let answer = api.lambda.invoke(&event).await.map_err(|error| anyhow::anyhow!("{error}"))?;
        anyhow::ensure!(answer["statusCode"] == 202, "publishing failed: {answer}");
        took.push(sent.elapsed());
    }
    Ok(took)
}

/// Returns the event with which API Gateway hands over a request.
fn request(method: &str, path: &str, token: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"host": "bench", "authorization": format!("Bearer {token}"), "content-type": "application/json"},
        "requestContext": {
            "accountId": "000000000000", "apiId": "bench", "domainName": "bench", "domainPrefix": "bench",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "bench"},
            "requestId": "1", "routeKey": "$default", "stage": "$default", "time": "18/Feb/2025:10:30:00 +0000",
            "timeEpoch": 1_739_874_600_000_i64,
        },
        "body": body, "isBase64Encoded": false,
    })
}

/// Returns the number of tasks that wait on the `deliveries` queue.
async fn waiting(app: &App) -> anyhow::Result<u64> {
    let call = app.queues.sqs.get_queue_attributes().queue_url(&app.queues.settings.deliveries_url);
    let answer = call.attribute_names(QueueAttributeName::ApproximateNumberOfMessages).send().await?;
    let attributes = answer.attributes.context("the answer has no attributes")?;
    Ok(attributes[&QueueAttributeName::ApproximateNumberOfMessages].parse()?)
}
