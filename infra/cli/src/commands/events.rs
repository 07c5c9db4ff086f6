//! `hookline events`.

use super::{
    Session, deliveries, idempotency_key,
    listing::{self, PageOptions},
};
use crate::{
    arguments::JsonArgument,
    client::{
        Answer,
        error::Fault,
        events::{
            BatchResult, DryRun, DryRunWebhook, Event, EventBatch, EventWithDeliveries, FilterMismatch, FilterTest,
            NewEvent, NewFilterTest, PublishedEvent,
        },
        page::Wanted,
    },
    event_data,
    output::{
        Output,
        moment::relative,
        table::{Cell, Column, Table},
        text::visible,
    },
};
use clap::{Args, Subcommand};
use domain::{event_type::EventType, id::EventId};
use serde_json::value::{RawValue, to_raw_value};
use std::{io, process::ExitCode};

/// A command on events.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// List events, newest first.
    List {
        /// Only those of this type.
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<EventType>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show an event with its deliveries.
    Get {
        /// The event's id, evt_….
        event: EventId,
        /// Where the page of deliveries begins: what the page before ended with.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Publish an event. See also `hookline trigger`, which knows samples.
    Publish(Box<Publish>),
    /// Show which webhooks an event would reach, and why it would not reach the others. Nothing is published.
    DryRun(Box<DryRunOptions>),
    /// Try a webhook's filter on a stored event, or on one that is not published.
    TestFilter(Box<TestFilter>),
    /// Publish up to 100 events at once.
    PublishBatch {
        /// {"events": […]} as JSON, a file, or - for stdin.
        #[arg(long, value_name = "JSON|FILE")]
        body: JsonArgument,
        /// Makes a repeated request the same request.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
}

/// The content of an event.
#[derive(Debug, Args)]
struct Content {
    /// The event's type, such as resource.created.
    #[arg(required_unless_present = "body")]
    event_type: Option<EventType>,
    /// The event's object (data.object) as JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE", required_unless_present = "body")]
    data: Option<JsonArgument>,
    /// The values that an update replaced, as JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    previous: Option<JsonArgument>,
    /// The whole body of the request instead: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["event_type", "data", "previous"])]
    body: Option<JsonArgument>,
}

/// An event to publish.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    content: Content,
    /// Makes a repeated request the same request.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// An event to try.
#[derive(Debug, Args)]
pub(crate) struct DryRunOptions {
    #[command(flatten)]
    content: Content,
    /// The most webhooks of a page, 1 to 100; 20 if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: Option<u32>,
    /// Where the page of webhooks begins: what the page before ended with.
    #[arg(long)]
    cursor: Option<String>,
}

/// A filter to try, and an event.
#[derive(Debug, Args)]
pub(crate) struct TestFilter {
    /// The filter: an event pattern as JSON, a file, or - for stdin.
    #[arg(value_name = "FILTER|FILE")]
    filter: JsonArgument,
    /// The id of a stored event, evt_….
    #[arg(long, value_name = "ID", required_unless_present = "event_type", conflicts_with = "event_type")]
    event: Option<EventId>,
    /// The type of an event that is not published.
    #[arg(long = "type", value_name = "TYPE", requires = "data")]
    event_type: Option<EventType>,
    /// Its object (data.object) as JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE", requires = "event_type")]
    data: Option<JsonArgument>,
    /// The values that an update would replace, as JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE", requires = "event_type")]
    previous: Option<JsonArgument>,
}

const DRY_RUN_COLUMNS: &[Column] = &[Column::whole("WEBHOOK"), Column::whole("DELIVERS"), Column::flexible("REASON")];
const COLUMNS: &[Column] = &[Column::whole("ID"), Column::flexible("TYPE"), Column::whole("CREATED")];

impl Events {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Session { client, out, .. } = session;
        match self {
            Self::List { event_type, page } => {
                let event_type = event_type.as_ref().map(EventType::as_str);
                let fetch = async |wanted| client.list_events(event_type, &wanted).await;
                listing::print(*out, &page, (COLUMNS, row), fetch).await
            }
            Self::Get { event, cursor } => {
                show(*out, &client.read_event(event, cursor.as_deref()).await?)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Publish(publish) => publish.run(session).await,
            Self::DryRun(options) => options.run(session).await,
            Self::TestFilter(options) => options.run(session).await,
            Self::PublishBatch { body, idempotency_key: key } => {
                let body = body.read("--body")?;
                let answer = client.publish_events(&body, &key.unwrap_or_else(idempotency_key)).await?;
                out.answer(&answer, print_batch)?;
                let all = answer.value.data.iter().all(|result| matches!(result, BatchResult::Published(_)));
                Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }
}

impl Content {
    /// Returns the body of the request.
    fn read(self) -> anyhow::Result<Box<RawValue>> {
        match (self.body, self.event_type, self.data) {
            (None, Some(event_type), Some(data)) => {
                let event = NewEvent {
                    r#type: event_type.to_string(),
                    data: event_data::of(data.read("--data")?),
                    previous_data: self.previous.map(|previous| previous.read("--previous")).transpose()?,
                };
                Ok(to_raw_value(&event)?)
            }
            (body, ..) => Ok(to_raw_value(&body.map(|body| body.read("--body")).transpose()?)?),
        }
    }
}

impl Publish {
    async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let key = self.idempotency_key.unwrap_or_else(idempotency_key);
        let answer = session.client.publish_event(&self.content.read()?, &key).await?;
        session.out.answer(&answer, print_published)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl DryRunOptions {
    async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let page = Wanted { limit: self.limit, cursor: self.cursor };
        let answer = session.client.dry_run_event(&self.content.read()?, &page).await?;
        session.out.answer(&answer, print_dry_run)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl TestFilter {
    /// The exit status is 1 if the filter does not match.
    async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let body = NewFilterTest {
            filter: self.filter.read("FILTER")?,
            event_id: self.event,
            r#type: self.event_type.map(|name| name.to_string()),
            data: self.data.map(|data| data.read("--data")).transpose()?.map(event_data::of),
            previous_data: self.previous.map(|previous| previous.read("--previous")).transpose()?,
        };
        let answer = session.client.test_filter(&body).await?;
        session.out.answer(&answer, print_filter_test)?;
        Ok(if answer.value.matches { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print_filter_test(out: Output, test: &FilterTest) -> io::Result<()> {
    match &test.explanation {
        None => out.line("matches"),
        Some(mismatch) => out.line(&format!("does not match: {}", visible(&mismatch_text(mismatch)))),
    }
}

/// Shows which webhooks would receive an event.
fn print_dry_run(out: Output, DryRun { event, webhooks, next_cursor }: &DryRun) -> io::Result<()> {
    event.warnings.iter().for_each(warn);
    let mut table = Table::new(DRY_RUN_COLUMNS);
    for webhook in webhooks {
        let delivers = match (webhook.delivers, webhook.delivery.as_str()) {
            (false, _) => "no",
            (true, "poll") => "by poll",
            (true, _) => "yes",
        };
        table.row(vec![Cell::new(&webhook.webhook_id), Cell::new(delivers), Cell::new(&reason(webhook))]);
    }
    out.table(&table)?;
    match next_cursor {
        Some(cursor) => eprintln!("There are more webhooks: --cursor {} shows the next ones.", visible(cursor)),
        None if webhooks.is_empty() => eprintln!("There are no webhooks."),
        None => {}
    }
    Ok(())
}

/// Says why a webhook would not receive an event.
fn reason(webhook: &DryRunWebhook) -> String {
    match (&webhook.reason, &webhook.filter) {
        (Some(reason), Some(mismatch)) => format!("{reason}: {}", mismatch_text(mismatch)),
        (reason, _) => reason.clone().unwrap_or_else(|| "-".to_owned()),
    }
}

fn mismatch_text(FilterMismatch { path, expected, found }: &FilterMismatch) -> String {
    let found = found.as_ref().map_or("nothing", |found| found.get());
    format!("{path} is {found}, expected {}", expected.get())
}

fn row(event: &Event) -> Vec<Cell> {
    vec![Cell::new(&event.id), Cell::new(&event.r#type), Cell::new(&relative(&event.created_at))]
}

/// Shows an event with a page of its deliveries.
fn show(out: Output, answer: &Answer<EventWithDeliveries>) -> io::Result<()> {
    if out.json {
        return out.json(&answer.json);
    }
    out.details_without(answer, "deliveries")?;
    if answer.value.deliveries.is_empty() {
        out.line("\nno deliveries")
    } else {
        out.line("")?;
        out.table(&deliveries::table(&answer.value.deliveries))?;
        if let Some(cursor) = &answer.value.next_cursor {
            eprintln!("There are more deliveries: --cursor {} shows the next ones.", visible(cursor));
        }
        Ok(())
    }
}

/// Says that an event was published, and where it does not fit its schema.
pub(super) fn print_published(out: Output, PublishedEvent { event, warnings }: &PublishedEvent) -> io::Result<()> {
    out.line(&format!("published {} ({})", visible(&event.id), visible(&event.r#type)))?;
    warnings.iter().for_each(warn);
    Ok(())
}

/// Prints where an event does not fit its schema.
fn warn(warning: &Fault) {
    eprintln!("warning: {warning}");
}

fn print_batch(out: Output, batch: &EventBatch) -> io::Result<()> {
    for (index, result) in batch.data.iter().enumerate() {
        match result {
            BatchResult::Published(published) => print_published(out, published)?,
            BatchResult::Refused(problem) => {
                out.line(&format!("event {index} was refused: {}", visible(&problem.detail)))?;
                for fault in &problem.errors {
                    out.line(&format!("  {fault}"))?;
                }
            }
        }
    }
    Ok(())
}
