//! What `hookline demo` prints: chapters of aligned lines for people, and one JSON object a line for programs.

use super::receiver::Arrival;
use crate::output::{Output, style::Style, text::visible};
use serde_json::json;
use std::{
    io,
    time::{Duration, Instant},
};

/// The columns of what happens, of a type and of an id.
const STEP: usize = 9;
const TYPE: usize = 17;

/// Where the demo prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Story {
    out: Output,
    began: Instant,
}

impl Story {
    pub(super) fn begin(out: Output) -> Self {
        Self { out, began: Instant::now() }
    }

    /// Begins a chapter.
    pub(super) fn chapter(self, title: &str) -> io::Result<()> {
        if self.out.json {
            return Ok(());
        }
        self.out.line("")?;
        self.out.line(&self.out.paint(Style::Strong, title))
    }

    /// Prints something that the demo has done or seen.
    pub(super) fn step(self, step: &str, style: Style, text: &str) -> io::Result<()> {
        if self.out.json {
            let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            return self.out.json(&json!({"at_ms": at_ms, "step": step, "text": text}).to_string());
        }
        let shown = visible(text);
        self.out.line(&format!("  {:<STEP$} {}", step, self.out.paint(style, &shown)))
    }

    /// Prints a publication.
    pub(super) fn published(self, event_type: &str, event: &str) -> io::Result<()> {
        self.step("publish", Style::Plain, &format!("{event_type:<TYPE$} {event}"))
    }

    /// Prints a request that the receiver has got, `after` an earlier moment in words.
    pub(super) fn arrived(self, arrival: &Arrival, after: Duration, since: &str) -> io::Result<()> {
        let Arrival { event_type, attempt, is_verified, answer, .. } = arrival;
        let verdict = if *is_verified { "signature valid" } else { "signature INVALID" };
        let style = if answer.is_success() { Style::Good } else { Style::Bad };
        let text = format!(
            "{event_type:<TYPE$} attempt {attempt}, {verdict}, answered {}, {} {since}",
            answer.as_u16(),
            shown(after)
        );
        self.step("receive", style, &text)
    }
}

/// A duration in milliseconds, or in seconds if it is long.
fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
