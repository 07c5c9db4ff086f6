//! The fan-out of an event to many webhooks with filters, relative to one without. The handler of
//! `publish` runs on an AWS in this process, so that the times are those of fan-out alone.

use crate::figures::{Figure, Table, figure, percentile_ms};
use anyhow::Context;
use application::{App, publishing};
use aws_lambda_events::event::sqs::SqsEvent;
use aws_sdk_sqs::types::QueueAttributeName;
use domain::{
    account::AccountId,
    backoff::RetrySchedule,
    endpoint_policy::EndpointPolicy,
    event::{Event, NewEvent},
    filter::Filter,
    id::{EventId, WebhookId},
    random::Random,
    secret::Secret,
    time::Clock,
    webhook::Webhook,
};
use embedded_aws::EmbeddedAws;
use futures::future::try_join_all;
use local::{pollers, provision};
use serde_json::{json, value::RawValue};
use std::time::{Duration, Instant};
use store::webhooks;
use tokio_util::sync::CancellationToken;

/// Distinct filters among the webhooks of a case.
const DISTINCT: usize = 1_000;
/// Concurrent calls while webhooks are created.
const AT_ONCE: usize = 100;
/// The longest wait for one fan-out.
const LIMIT: Duration = Duration::from_secs(300);
/// How often the number of tasks is asked for.
const POLL: Duration = Duration::from_millis(2);

/// One account, whose webhooks all have filters or all have none.
struct Case {
    label: &'static str,
    account: AccountId,
    /// The tasks of one event.
    tasks: u64,
    times: Vec<Duration>,
}

pub(crate) async fn measure(quick: bool) -> anyhow::Result<Table> {
    let (count, rounds) = if quick { (1_000, 5) } else { (10_000, 9) };
    let clock = Clock::system();
    let aws = EmbeddedAws::open(None, clock.clone())?;
    let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
    provision::provision(&aws, &config).await?;
    let app = App::new(aws.clients(), config, clock, Random::system());
    let mut cases = [
        case(&app, "without filters", count, |_| None).await?,
        case(&app, "distinct filters that all match", count, |index| Some(at_least(index % DISTINCT, 0))).await?,
        case(&app, "distinct filters, a tenth matches", count, |index| Some(at_least(index % DISTINCT, index % 10)))
            .await?,
    ];
    let stop = CancellationToken::new();
    let handler = {
        let app = app.clone();
        move |event: SqsEvent| {
            let app = app.clone();
            async move { publish::handle(&app, event).await }
        }
    };
    tokio::spawn(pollers::poll_queue(app.clone(), app.queues.settings.events_url.clone(), 1, stop.clone(), handler));
    // The cases take turns, so that a busy moment of the machine hits them alike. The first round fills the caches.
    for round in 0..=rounds {
        for case in &mut cases {
            let took = fan_out(&app, case).await?;
            if round > 0 {
                case.times.push(took);
            }
        }
    }
    stop.cancel();
    let mut table = Table::new("filters", "fan-out of one event by one publish; x is relative to no filters");
    let without = percentile_ms(&mut cases[0].times, 0.5);
    for mut case in cases {
        let ms = percentile_ms(&mut case.times, 0.5);
        let figures: Vec<Figure> =
            vec![figure("tasks", "", case.tasks as f64), figure("time", "ms", ms), figure("time", "x", ms / without)];
        table.row(format!("{count} webhooks {}", case.label), figures);
    }
    Ok(table)
}

/// A filter that is distinct for each `number`. It matches the event if `grade` is 0.
fn at_least(number: usize, grade: usize) -> serde_json::Value {
    json!({
        "type": [{ "prefix": "user." }],
        "data": { "object": {
            "grade": [grade],
            "amount": [{ "numeric": [">=", 0, "<", 1_000_000 + number] }],
            "country": ["DE", "FR", format!("C{number}")],
            "items": { "sku": [{ "wildcard": format!("*-{}", number % 10) }, { "prefix": "sku" }], "quantity": [{ "numeric": [">", 1] }] },
        } },
    })
}

/// Creates an account with webhooks.
async fn case(
    app: &App,
    label: &'static str,
    count: usize,
    filter: impl Fn(usize) -> Option<serde_json::Value>,
) -> anyhow::Result<Case> {
    let account: AccountId = format!("a{}", label.len()).parse()?;
    let url = EndpointPolicy::AllowLoopback.judge_url("http://127.0.0.1:9/").expect("a URL");
    let mut made = Vec::with_capacity(count);
    for index in 0..count {
        let id = WebhookId::new(app.clock.now(), &app.random);
        let events = vec!["user.*".parse().expect("a subscription")];
        let mut webhook = Webhook::new(account.clone(), id, url.clone(), events, Secret::generate(&app.random));
        if let Some(filter) = filter(index) {
            let raw = RawValue::from_string(filter.to_string())?;
            webhook.filter = Some(Filter::read(&raw).map_err(|faults| anyhow::anyhow!("{faults:?}"))?);
        }
        made.push(webhook);
    }
    for some in made.chunks(AT_ONCE) {
        try_join_all(some.iter().map(|webhook| webhooks::create(&app.store, webhook))).await?;
    }
    let payload = event(app, &account)?.payload;
    let matcher = app.filters.matcher(Some(&payload));
    let tasks = made.iter().filter(|webhook| matcher.passes(webhook)).count() as u64;
    Ok(Case { label, account, tasks, times: vec![] })
}

fn event(app: &App, account: &AccountId) -> anyhow::Result<Event> {
    let items: Vec<_> = (0..10).map(|index| json!({ "sku": format!("sku-{index}"), "quantity": index })).collect();
    let object = json!({ "id": "usr_1", "grade": 0, "amount": 4999, "country": "DE", "items": items });
    let object = RawValue::from_string(object.to_string())?;
    let new = NewEvent { event_type: "user.updated".parse().expect("a name"), object, previous_data: None };
    Ok(Event::new(account.clone(), EventId::new(app.clock.now(), &app.random), &new))
}

/// Publishes an event and returns the time until all its tasks are enqueued.
async fn fan_out(app: &App, case: &Case) -> anyhow::Result<Duration> {
    let expected = waiting(app).await? + case.tasks;
    let (event, began) = (event(app, &case.account)?, Instant::now());
    publishing::publish(app, &case.account, &[event]).await?;
    while waiting(app).await? < expected {
        anyhow::ensure!(began.elapsed() < LIMIT, "{}: {} of {expected} tasks", case.label, waiting(app).await?);
        tokio::time::sleep(POLL).await;
    }
    Ok(began.elapsed())
}

/// Returns the number of tasks that wait on the `deliveries` queue.
async fn waiting(app: &App) -> anyhow::Result<u64> {
    let call = app.queues.sqs.get_queue_attributes().queue_url(&app.queues.settings.deliveries_url);
    let answer = call.attribute_names(QueueAttributeName::ApproximateNumberOfMessages).send().await?;
    let attributes = answer.attributes.context("the answer has no attributes")?;
    Ok(attributes[&QueueAttributeName::ApproximateNumberOfMessages].parse()?)
}
