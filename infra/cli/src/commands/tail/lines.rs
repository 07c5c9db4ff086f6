//! What `hookline tail` prints: aligned lines for people, and one JSON object a line for programs.

use super::feed::NewEvent;
use crate::{
    client::deliveries::Delivery,
    commands::deliveries::answer_text,
    output::{
        Output,
        moment::{relative, time_of_day},
        style::Style,
        text::{cut, visible},
    },
};
use domain::id::EventId;
use std::io;

/// The columns of the longest status.
const STATUS: usize = 9;
/// The columns of an event's id, the longest that is shown.
const ID: usize = 30;

/// Prints an event.
pub(super) fn event(out: Output, event: &NewEvent) -> io::Result<()> {
    if out.json {
        return out.json(&format!("{{\"event\":{}}}", event.json.get()));
    }
    let id = event.id.to_string();
    line(out, &event.created_at, ("event", Style::Strong), &id, &event.event_type)
}

/// Prints a delivery as it is now. `json` is the server's own JSON.
pub(super) fn delivery(out: Output, event: EventId, delivery: &Delivery, json: Option<&str>) -> io::Result<()> {
    if let Some(json) = json {
        return out.json(&format!("{{\"delivery\":{json}}}"));
    }
    let attempt = delivery.attempts.last();
    let at = attempt.map_or(&delivery.created_at, |attempt| &attempt.started_at);
    let answer = attempt.map_or_else(String::new, |attempt| {
        format!(", attempt {} got {} after {} ms", attempt.number, answer_text(attempt), attempt.duration_ms)
    });
    let next = delivery.next_attempt_at.as_deref().map(|at| format!(", next {}", relative(at))).unwrap_or_default();
    let status = (delivery.status.as_str(), Style::of_status(&delivery.status));
    line(out, at, status, &delivery.webhook_id, &format!("{event}{answer}{next}"))
}

/// Prints time, status, id and the rest, cut to the terminal's width.
fn line(out: Output, at: &str, (status, style): (&str, Style), id: &str, rest: &str) -> io::Result<()> {
    let (at, status, id) = (time_of_day(at), visible(status), visible(id));
    let status = out.paint(style, &format!("{status:<STATUS$}"));
    let rest = visible(rest);
    let before = at.len() + STATUS + ID + 6;
    let rest = out.width.map_or(rest.clone(), |width| cut(&rest, width.saturating_sub(before)).into_owned().into());
    out.line(&format!("{}  {status}  {id:<ID$}  {rest}", visible(&at)))
}
