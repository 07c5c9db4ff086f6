//! Log lines as text for people, as `telemetry::log` writes them as JSON: one line for each event, with the fields of the
//! surrounding spans. An attempt has columns (`attempt_lines.rs`).
//!
//! What users typed and receivers answered may be part of an event. Characters that control a terminal are escaped.

use crate::{attempt_lines::AttemptLines, style::Style};
use domain::time::{Clock, Timestamp};
use jiff::tz::TimeZone;
use std::{
    fmt::{self, Write as _},
    io::Write as _,
};
use telemetry::metrics;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

/// The field with what an event says.
const MESSAGE: &str = "message";
/// The fields with why something failed. They follow the message.
const CAUSE: &str = "error";
/// Fields that say what others say as well, and are for programs.
const REDUNDANT: [&str; 2] = ["delivery_id", "trigger"];
/// The account of the local token. Only others are worth a word.
const USUAL_ACCOUNT: (&str, &str) = ("account", "default");

/// A layer that writes each event as a line of text.
pub(crate) struct TextLines<W> {
    style: Style,
    writer: W,
    clock: Clock,
    zone: TimeZone,
    attempts: AttemptLines,
}

impl<W> TextLines<W> {
    /// Creates a layer that writes to `writer`, with times in the machine's time zone.
    pub(crate) fn new(style: Style, writer: W) -> Self {
        let attempts = AttemptLines::new(style);
        Self { style, writer, clock: Clock::system(), zone: TimeZone::system(), attempts }
    }

    /// Returns the line of an event.
    fn line(&self, event: &Event<'_>, fields: &Fields) -> String {
        let now = self.clock.now();
        let metadata = event.metadata();
        let is_attempt = metadata.target() == metrics::TARGET && fields.get("attempts").is_some();
        let said = if is_attempt {
            self.attempts.line(fields, now)
        } else {
            format!("{}{}", self.mark(*metadata.level()), self.sentence(fields))
        };
        format!("{}  {said}\n", self.style.dim(&self.local_time(now)))
    }

    fn local_time(&self, now: Timestamp) -> String {
        let moment = jiff::Timestamp::from_millisecond(now.unix_ms()).unwrap_or_default();
        moment.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// Returns what a line begins with: a mark below those of attempts, and the level if it matters.
    fn mark(&self, level: Level) -> String {
        match level {
            Level::ERROR => self.style.red("! error: "),
            Level::WARN => self.style.yellow("! warning: "),
            Level::INFO => "· ".to_owned(),
            _ => format!("· {}: ", level.as_str().to_lowercase()),
        }
    }

    /// Returns the message, why it happened, and the other fields as `name=value`.
    fn sentence(&self, fields: &Fields) -> String {
        let mut sentence = fields.get(MESSAGE).unwrap_or_default().to_owned();
        if let Some(cause) = fields.get(CAUSE) {
            sentence.push_str(": ");
            sentence.push_str(cause);
        }
        let is_metric = |name: &str| metrics::METRICS.iter().any(|(metric, _)| *metric == name);
        let is_said = |name| name == MESSAGE || name == CAUSE || REDUNDANT.contains(&name);
        let is_usual = |name, value: &str| (name, value) == USUAL_ACCOUNT;
        let rest =
            fields.0.iter().filter(|(name, value)| !is_said(*name) && !is_metric(name) && !is_usual(*name, value));
        let rest: Vec<_> = rest.map(|(name, value)| format!("{name}={value}")).collect();
        if !rest.is_empty() {
            sentence.push_str("  ");
            sentence.push_str(&self.style.dim(&rest.join(" ")));
        }
        sentence
    }
}

impl<S, W> Layer<S> for TextLines<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                for (name, value) in &of_span.0 {
                    if fields.get(name).is_none() {
                        fields.0.push((name, value.clone()));
                    }
                }
            }
        }
        let line = self.line(event, &fields);
        // Nobody is left to tell of a terminal that is gone.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// Names and values, the event's own before those of its spans. A value has no character that controls a terminal.
#[derive(Default)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Returns the value of a field.
    pub(crate) fn get(&self, wanted: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, field: &Field, value: &str) {
        let value = harmless(value);
        match self.0.iter_mut().find(|(name, _)| *name == field.name()) {
            Some(present) => present.1 = value,
            None => self.0.push((field.name(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, &format!("{value:?}"));
    }
}

/// Escapes what is not printed: control characters, and those that change the direction or the width of text.
pub(crate) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => harmless.push(character),
            _ => write!(harmless, "{}", character.escape_debug()).expect("a string can be written to"),
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Seek};
    use tracing_subscriber::layer::SubscriberExt;

    /// Returns what `act` logs, without the time.
    fn lines(act: impl FnOnce()) -> Vec<String> {
        let mut written = tempfile::tempfile().expect("a file");
        let layer = TextLines::new(Style::Plain, written.try_clone().expect("a second handle"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        written.rewind().expect("a file");
        let text = io::read_to_string(written).expect("UTF-8");
        text.lines().map(|line| line["00:00:00  ".len()..].to_owned()).collect()
    }

    #[test]
    fn a_line_says_what_happened_why_and_to_what() {
        let lines = lines(|| {
            let span = tracing::error_span!(
                "delivery",
                account = "default",
                event_id = "evt_1",
                trigger = "0.1",
                attempt = tracing::field::Empty
            );
            let _entered = span.clone().entered();
            span.record("attempt", 2);
            tracing::error!(error = "it broke", messages = 3, "a task could not be handled");
            tracing::warn!(target: metrics::TARGET, webhooks_disabled = 1, reason = ?Some(1), "webhook disabled");
            tracing::info!("an \"info\"");
            tracing::debug!("a detail");
        });
        assert_eq!(
            lines,
            [
                "! error: a task could not be handled: it broke  messages=3 event_id=evt_1 attempt=2",
                "! warning: webhook disabled  reason=Some(1) event_id=evt_1 attempt=2",
                "· an \"info\"  event_id=evt_1 attempt=2",
                "· debug: a detail  event_id=evt_1 attempt=2",
            ]
        );
    }

    #[test]
    fn what_would_control_the_terminal_is_escaped() {
        let lines = lines(|| {
            let _entered = tracing::error_span!("request", client = "\x1b]0;title\x07").entered();
            tracing::error!(error = "one\ntwo\r\u{9b}31m\u{202e}", "\x1b[2Jgone {}", "\x08");
        });
        let escaped = r"! error: \u{1b}[2Jgone \u{8}: one\ntwo\r\u{9b}31m\u{202e}  client=\u{1b}]0;title\u{7}";
        assert_eq!(lines, [escaped]);
    }
}
