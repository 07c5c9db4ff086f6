//! `hookline deliveries`, and how a delivery is shown.

use super::{
    Session,
    listing::{self, PageOptions},
    progress::Pause,
};
use crate::{
    client::{
        Answer,
        deliveries::{Attempt, Delivery, OutgoingRequest},
    },
    output::{
        Output,
        moment::relative,
        style::Style,
        table::{Cell, Column, Table},
        text::visible,
    },
};
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use domain::{
    event_type::EventType,
    id::{DeliveryId, WebhookId},
};
use std::{
    io,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How long an attempt that was asked for is waited for. It takes at most 20 s itself.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(60);

/// A command on deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum Deliveries {
    /// List the deliveries to a webhook, newest first.
    List {
        /// The webhook's id, wh_….
        webhook: WebhookId,
        /// Only those with this status.
        #[arg(long, value_parser = ["pending", "delivered", "failed", "held", "cancelled"])]
        status: Option<String>,
        /// Only those of events of this type.
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<EventType>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a delivery with its attempts.
    Get {
        /// The delivery's id, dlv_….
        delivery: DeliveryId,
    },
    /// Show the request that the next attempt would send, as it would be sent now. Secrets are not shown.
    Request {
        /// The delivery's id, dlv_….
        delivery: DeliveryId,
    },
    /// Make one more attempt now, outside the schedule.
    Retry {
        /// The delivery's id, dlv_….
        delivery: DeliveryId,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Attempt a delivery no more.
    Cancel {
        /// The delivery's id, dlv_….
        delivery: DeliveryId,
    },
}

/// Whether a command waits for the attempt that it asked for.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Waiting {
    /// Wait for the receiver's answer; the exit status is 1 if the attempt failed.
    #[arg(long)]
    wait: bool,
}

/// The columns of a list of deliveries.
const COLUMNS: &[Column] = &[
    Column::whole("ID"),
    Column::whole("STATUS"),
    Column::flexible("EVENT TYPE"),
    Column::whole("ATTEMPTS"),
    Column::flexible("LAST ANSWER"),
    Column::whole("NEXT ATTEMPT"),
    Column::whole("CREATED"),
];

/// The columns of the attempts of a delivery.
const ATTEMPT_COLUMNS: &[Column] = &[
    Column::whole("ATTEMPT"),
    Column::whole("STARTED"),
    Column::whole("TOOK"),
    Column::whole("ANSWER"),
    Column::flexible("BODY"),
];

impl Deliveries {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Session { client, out, .. } = session;
        match self {
            Self::List { webhook, status, event_type, page } => {
                let chosen = (status.as_deref(), event_type.as_ref().map(EventType::as_str));
                let fetch = async |wanted| client.list_deliveries(webhook, chosen, &wanted).await;
                return listing::print(*out, &page, (COLUMNS, row), fetch).await;
            }
            Self::Get { delivery } => show(*out, &client.read_delivery(delivery).await?)?,
            Self::Request { delivery } => {
                out.answer(&client.read_delivery_request(delivery).await?, print_request)?;
            }
            Self::Retry { delivery, waiting } => {
                return show_begun(session, client.retry_delivery(delivery).await?, waiting).await;
            }
            Self::Cancel { delivery } => {
                let answer = client.cancel_delivery(delivery).await?;
                out.answer(&answer, |out, delivery| out.line(&in_one_line(delivery)))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows a request as it goes over the wire.
fn print_request(out: Output, request: &OutgoingRequest) -> io::Result<()> {
    let OutgoingRequest { method, url, headers, body } = request;
    if let (Some(method), Some(url)) = (method, url) {
        out.line(&format!("{} {}", visible(method), visible(url)))?;
    }
    for (name, value) in headers {
        out.line(&format!("{}: {}", visible(name), visible(value)))?;
    }
    out.line("")?;
    out.line(&visible(body))
}

/// A table's row.
fn row(delivery: &Delivery) -> Vec<Cell> {
    let last = delivery.attempts.last();
    vec![
        Cell::new(&delivery.id),
        Cell::status(&delivery.status),
        Cell::new(&delivery.event_type),
        Cell::new(&last.map_or(0, |attempt| attempt.number).to_string()),
        last.map_or_else(|| Cell::optional(None), answer_of),
        Cell::optional(delivery.next_attempt_at.as_deref().map(relative).as_deref()),
        Cell::new(&relative(&delivery.created_at)),
    ]
}

/// A table of deliveries.
pub(super) fn table<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Table {
    let mut table = Table::new(COLUMNS);
    deliveries.into_iter().for_each(|delivery| table.row(row(delivery)));
    table
}

/// What the receiver answered, or why there was no answer.
fn answer_of(attempt: &Attempt) -> Cell {
    let style = if is_success(attempt) { Style::Good } else { Style::Bad };
    Cell::styled(&answer_text(attempt), style)
}

/// The status code, or why there was none.
pub(super) fn answer_text(attempt: &Attempt) -> String {
    match (attempt.status_code, &attempt.error) {
        (_, Some(error)) => error.clone(),
        (Some(code), None) => code.to_string(),
        (None, None) => "-".to_owned(),
    }
}

fn is_success(attempt: &Attempt) -> bool {
    attempt.error.is_none() && attempt.status_code.is_some_and(|code| (200..300).contains(&code))
}

/// Shows a delivery with its attempts.
fn show(out: Output, answer: &Answer<Delivery>) -> io::Result<()> {
    if out.json {
        return out.json(&answer.json);
    }
    out.details_without(answer, "attempts")?;
    if answer.value.attempts.is_empty() {
        return out.line("\nno attempt yet");
    }
    let mut table = Table::new(ATTEMPT_COLUMNS);
    for attempt in &answer.value.attempts {
        table.row(vec![
            Cell::new(&attempt.number.to_string()),
            Cell::new(&attempt.started_at),
            Cell::new(&format!("{} ms", attempt.duration_ms)),
            answer_of(attempt),
            Cell::optional(attempt.response_body.as_deref()),
        ]);
    }
    out.line("")?;
    out.table(&table)
}

/// Shows a delivery whose attempt was just asked for. Waits for that attempt, if it is asked to.
pub(super) async fn show_begun(
    session: &Session,
    begun: Answer<Delivery>,
    waiting: Waiting,
) -> anyhow::Result<ExitCode> {
    let out = session.out;
    let answer = if waiting.wait { attempted(session, begun).await? } else { begun };
    out.answer(&answer, |out, delivery| {
        out.line(&in_one_line(delivery))?;
        if waiting.wait {
            return Ok(());
        }
        out.line(&format!("`hookline deliveries get {}` shows the attempt", visible(&delivery.id)))
    })?;
    let failed = waiting.wait && !answer.value.attempts.last().is_some_and(is_success);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Waits until a delivery has one more attempt than it had.
///
/// # Errors
/// No attempt was made in time: the delivery was cancelled, or its webhook disabled or deleted meanwhile.
async fn attempted(session: &Session, begun: Answer<Delivery>) -> anyhow::Result<Answer<Delivery>> {
    let number = |delivery: &Delivery| delivery.attempts.last().map_or(0, |attempt| attempt.number);
    let before = number(&begun.value);
    let id: DeliveryId = begun.value.id.parse().context("the answer has no delivery's id")?;
    let (start, mut pause) = (Instant::now(), Pause::new());
    loop {
        pause.wait().await;
        let answer = session.client.read_delivery(id).await?;
        if number(&answer.value) > before {
            return Ok(answer);
        }
        ensure!(start.elapsed() < ATTEMPT_WITHIN, "no attempt was made within {} s", ATTEMPT_WITHIN.as_secs());
    }
}

/// A delivery in one line.
fn in_one_line(delivery: &Delivery) -> String {
    let answer = delivery.attempts.last().map_or_else(String::new, |attempt| {
        let Attempt { number, duration_ms, .. } = attempt;
        format!(": attempt {number} got {} after {duration_ms} ms", visible(&answer_text(attempt)))
    });
    format!("{} {}{answer}", visible(&delivery.id), visible(&delivery.status))
}
