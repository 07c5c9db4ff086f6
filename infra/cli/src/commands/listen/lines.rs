//! What `hookline listen` prints: one aligned line for each attempt, or one JSON object for programs.

use super::receiver::Outcome;
use crate::{
    client::webhooks::PolledRequest,
    output::{
        Output,
        moment::time_of_day,
        style::Style,
        text::{cut, visible},
    },
};
use domain::time::Clock;
use serde_json::json;
use std::{
    io::{self, Write},
    time::Duration,
};

/// The columns of an event type. A longer one moves the rest of its line.
const TYPE: usize = 22;
/// The columns of a duration.
const DURATION: usize = 8;

/// Says something about the listener itself on stderr. If nobody reads it, the events go on.
pub(super) fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Prints what became of attempt `number`. `wait` is the time until the next one.
pub(super) fn attempt(
    out: Output,
    request: &PolledRequest,
    number: u32,
    outcome: &Outcome,
    wait: Option<Duration>,
) -> io::Result<()> {
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    let (event_type, id) = (header("x-webhook-event"), header("webhook-id"));
    let now = Clock::system().now().to_string();
    if out.json {
        let (status, error) = match &outcome.answer {
            Ok(status) => (Some(status.as_u16()), None),
            Err(error) => (None, Some(error)),
        };
        let line = json!({
            "at": now, "event_id": id, "type": event_type, "attempt": number, "status": status, "error": error,
            "duration_ms": u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        });
        return out.json(&line.to_string());
    }
    let style = if outcome.is_taken() { Style::Good } else { Style::Bad };
    let answer = match &outcome.answer {
        Ok(status) => status.as_str().to_owned(),
        Err(error) => visible(error).into_owned(),
    };
    let again = match wait {
        Some(wait) => format!("  attempt {number}, next in {} s", wait.as_secs()),
        None if number > 1 => format!("  attempt {number}"),
        None => String::new(),
    };
    let duration = format!("{:>DURATION$}", format!("{} ms", outcome.duration.as_millis()));
    let before = format!("{}  {:<TYPE$}  {}  ", time_of_day(&now), visible(event_type), visible(id));
    // The part in colour must not be cut in its middle, so the rest is cut.
    let used = before.len() + answer.len() + duration.len();
    let again = out.width.map_or(again.clone(), |width| cut(&again, width.saturating_sub(used)).into_owned());
    let again = if again.is_empty() { again } else { out.paint(Style::Faint, &again) };
    out.line(&format!("{before}{}{duration}{again}", out.paint(style, &answer)))
}
