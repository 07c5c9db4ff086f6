//! The line of an attempt: what the receiver answered, and what follows. The lines form columns. What a person looks for comes
//! first, and the ids come last, where a narrow terminal breaks the line.

use crate::{style::Style, text_lines::Fields};
use domain::time::Timestamp;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The width of each column when the first line is written: enough for usual values.
const WIDTHS: [usize; 7] = [7, 17, 9, 7, 22, 30, 29];
/// A column does not grow beyond this width for one long value.
const WIDTH_MAX: usize = 40;

/// Writes the lines of attempts. Each column is as wide as its widest value so far.
pub(crate) struct AttemptLines {
    style: Style,
    widths: Mutex<[usize; 7]>,
}

/// A value of a column.
struct Cell {
    text: String,
    paint: fn(Style, &str) -> String,
    is_right: bool,
}

impl AttemptLines {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, widths: Mutex::new(WIDTHS) }
    }

    /// Returns the line of the attempt that was logged with `fields` (`telemetry::metrics::attempt`).
    pub(crate) fn line(&self, fields: &Fields, now: Timestamp) -> String {
        let get = |name| fields.get(name).unwrap_or_default();
        let succeeded = get("successes") == "1";
        let (mark, colour): (_, fn(Style, &str) -> String) =
            if succeeded { ("✓", Style::green) } else { ("✗", Style::red) };
        let next = fields.get("next_attempt_at").and_then(|due| Timestamp::parse_rfc3339(due).ok());
        let follows: fn(Style, &str) -> String = match (next, get("status")) {
            (Some(_), _) => Style::yellow,
            (None, "failed") => Style::red,
            _ => plain,
        };
        let answer = [get("status_code"), get("error")].into_iter().filter(|part| !part.is_empty());
        let cells = [
            Cell::new(answer.collect::<Vec<_>>().join(" "), colour),
            Cell::new(get("event_type").to_owned(), plain),
            Cell::new(format!("attempt {}", get("attempt")), plain),
            Cell { is_right: true, ..Cell::new(took(get("latency_ms")), plain) },
            Cell::new(what_follows(fields, next.map(|due| due.since(now))), follows),
            Cell::new(get("event_id").to_owned(), plain),
            Cell::new(get("webhook_id").to_owned(), plain),
        ];
        let line = format!("{} {}", colour(self.style, mark), self.columns(&cells));
        line.trim_end().to_owned()
    }

    /// Joins the cells, each padded to the width of its column.
    fn columns(&self, cells: &[Cell; 7]) -> String {
        let mut widths = self.widths.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = cells.iter().zip(widths.iter_mut()).map(|(cell, width)| {
            let length = cell.text.chars().count();
            *width = length.min(WIDTH_MAX).max(*width);
            let (text, padding) = ((cell.paint)(self.style, &cell.text), " ".repeat(width.saturating_sub(length)));
            if cell.is_right { padding + &text } else { text + &padding }
        });
        columns.collect::<Vec<_>>().join("  ")
    }
}

impl Cell {
    fn new(text: String, paint: fn(Style, &str) -> String) -> Self {
        Self { text, paint, is_right: false }
    }
}

fn plain(_: Style, text: &str) -> String {
    text.to_owned()
}

/// Returns what follows from the attempt: the delivery's status, or when the schedule goes on. `wait` is the time until then.
/// An attempt outside the schedule is named.
fn what_follows(fields: &Fields, wait: Option<Duration>) -> String {
    let trigger = fields.get("trigger").unwrap_or_default();
    let follows = match wait {
        Some(wait) => format!("next attempt {}", in_time(wait)),
        None => fields.get("status").unwrap_or_default().to_owned(),
    };
    match trigger.split('.').next() {
        Some(named @ ("test" | "manual")) => format!("{named}, {follows}"),
        _ => follows,
    }
}

/// Returns a wait in its two largest units, rounded up to seconds: `in 1m 3s`.
fn in_time(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let shown: Vec<_> = units.iter().skip_while(|(count, _)| *count == 0).take(2).collect();
    let shown: Vec<_> =
        shown.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if shown.is_empty() { "now".to_owned() } else { format!("in {}", shown.join(" ")) }
}

/// Returns how long an attempt took: `12 ms`, `5.00 s`.
fn took(milliseconds: &str) -> String {
    match milliseconds.parse::<u32>() {
        Ok(long @ 1000..) => format!("{:.2} s", f64::from(long) / 1000.0),
        _ => format!("{milliseconds} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_and_durations_are_short() {
        for (seconds, text) in [
            (0.0, "now"),
            (0.2, "in 1s"),
            (59.5, "in 1m"),
            (63.0, "in 1m 3s"),
            (1800.0, "in 30m"),
            (7199.0, "in 1h 59m"),
            (7205.0, "in 2h"),
        ] {
            assert_eq!(in_time(Duration::from_secs_f64(seconds)), text);
        }
        assert_eq!((took("0"), took("999"), took("5003")), ("0 ms".into(), "999 ms".into(), "5.00 s".into()));
    }

    #[test]
    fn a_column_stays_as_wide_as_its_widest_value_but_not_for_an_excess() {
        let lines = AttemptLines::new(Style::Plain);
        let line = |event_type: &str| {
            let mut cells = [(); 7].map(|()| Cell::new(String::new(), plain));
            cells[1] = Cell::new(event_type.to_owned(), plain);
            cells[2] = Cell::new("next".to_owned(), plain);
            lines.columns(&cells).find("next").expect("the next column")
        };
        let first = line("a.b");
        assert!(line("a.type.with.a.long.name") > first);
        assert_eq!(line("a.b"), line("a.type.with.a.long.name"));
        line(&"long.".repeat(20));
        assert_eq!(line("a.b"), first - WIDTHS[1] + WIDTH_MAX);
    }
}
