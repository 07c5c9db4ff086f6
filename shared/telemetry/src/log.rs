//! Logs: one JSON object a line, on standard error, which Lambda collects. Every field is at the top level, also those of the
//! surrounding spans. Ids are fields. Secrets, tokens and bodies are never logged. On a terminal, `infra/local` writes the same
//! lines as text.
//!
//! In Lambda, a line that contains metrics is also a document in CloudWatch's embedded metric format, so that metrics need no
//! lines of their own ([`crate::metrics`]).

use crate::metrics;
use domain::{delivery::Task, time::Clock, trace::TraceParent};
use serde_json::json;
use std::{
    fmt,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::{
    Event, Level, Metadata, Span, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    Layer, Registry,
    field::RecordFields,
    filter::{FilterExt, LevelFilter, Targets, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// The target of the Lambda runtime's span, which has the request's id. The runtime logs no lines with this target.
const REQUEST_SPAN: &str = "lambda_runtime::layers::trace";

/// Hookline's own crates, whose lines may be written at every level.
const OURS: [&str; 12] = [
    "domain",
    "endpoint",
    "store",
    "telemetry",
    "application",
    "batch",
    "api",
    "publish",
    "deliver",
    "retry",
    "local",
    "embedded_aws",
];

/// Starts writing JSON lines to standard error, for the events that `filter` lets through.
pub fn init(filter: Targets) {
    init_as(json(None, std::io::stderr), filter);
}

/// Starts writing logs with `lines` instead of as JSON. What may contain a secret never reaches it.
pub fn init_as<L>(lines: L, filter: Targets)
where
    L: Layer<Registry> + Send + Sync,
{
    // A second call, which tests make, keeps the settings of the first.
    let _ = tracing_subscriber::registry().with(safe(lines, filter)).try_init();
}

/// Starts writing a Lambda function's logs, panics included, filtered by `LOG_LEVEL` (default `info`). Metrics are written at every
/// level.
///
/// # Errors
/// A phrase for the operator if `LOG_LEVEL` is invalid. Logs are then written as with `info`, so that they can say so.
pub fn init_lambda() -> Result<(), String> {
    let level = std::env::var("LOG_LEVEL").ok().filter(|level| !level.is_empty());
    let parsed = parse_filter(level.as_deref().unwrap_or("info"));
    let filter = parsed.clone().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let filter = filter.with_target(metrics::TARGET, Level::INFO).with_target(REQUEST_SPAN, Level::INFO);
    // Why a function has ended, and panics, are written at every level too.
    let filter = filter.with_target(module_path!(), Level::ERROR);
    let function_name = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    init_as(json(Some(function_name), std::io::stderr), filter);
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "the code panicked")));
    parsed.map(|_| ()).map_err(|fault| format!("LOG_LEVEL: {fault}"))
}

/// Logs why a Lambda function has ended, and returns the status that its process ends with.
pub fn exit_code(ended: Result<(), impl fmt::Display>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function has ended");
            ExitCode::FAILURE
        }
    }
}

/// Reads a level such as `info`, or levels of targets such as `warn,deliver=debug`.
///
/// # Errors
/// A phrase for the user. A word that is no level is refused, although `Targets` would take it for the name of a target.
pub fn parse_filter(text: &str) -> Result<Targets, String> {
    let is_level = |level: &str| !level.is_empty() && level.parse::<LevelFilter>().is_ok();
    let is_known = text.split(',').all(|part| is_level(part.rsplit_once('=').map_or(part, |(_, level)| level)));
    let targets = text.parse().ok().filter(|_| is_known);
    targets.ok_or_else(|| {
        "expected off, error, warn, info, debug or trace, or a list of them for targets: warn,deliver=debug".to_owned()
    })
}

/// Returns the subscriber that [`init`] and [`init_lambda`] install. With a `function_name`, lines with metrics are metrics
/// documents of that Lambda function.
pub fn subscriber<W>(filter: Targets, function_name: Option<String>, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::registry().with(safe(json(function_name, writer), filter))
}

/// Returns the layer that writes JSON lines.
fn json<W>(function_name: Option<String>, writer: W) -> impl Layer<Registry> + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().event_format(Line { function_name }).fmt_fields(Fields).with_writer(writer)
}

/// Returns `lines` with a filter for the wanted events and against secrets.
fn safe<L: Layer<Registry>>(lines: L, filter: Targets) -> impl Layer<Registry> {
    lines.with_filter(filter.and(filter_fn(is_safe)))
}

/// Whether a line is sure to contain no secret. Below `info`, libraries log whole requests, with secrets and tokens in them.
/// Such lines are never written, whatever the filter says.
fn is_safe(line: &Metadata<'_>) -> bool {
    let krate = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || OURS.contains(&krate)
}

/// Creates the span of a delivery. Every line in it has the delivery's ids, the attempt's number once [`attempt`] has set it, and
/// the id of the trace once [`trace`] has.
pub fn delivery(task: &Task) -> Span {
    // The level error lets the span through at every log level, so every line has its ids.
    tracing::error_span!(
        "delivery", account = %task.account, webhook_id = %task.webhook(), event_id = %task.delivery.event,
        delivery_id = %task.delivery, trigger = %task.trigger, attempt = tracing::field::Empty,
        trace_id = tracing::field::Empty
    )
}

/// Sets the attempt's number in the current delivery's span, for the lines that follow.
pub fn attempt(number: u32) {
    Span::current().record("attempt", number);
}

/// Sets the trace of the current delivery's span, for the lines that follow.
pub fn trace(trace: &TraceParent) {
    Span::current().record("trace_id", trace.trace_id());
}

/// Formats an event as a line.
struct Line {
    function_name: Option<String>,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\",\"target\":{}", metadata.level(), json!(metadata.target()))?;
        let mut all = String::new();
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                all.push_str(&fields.fields);
            }
        }
        let mut fields = Visitor { writer: Writer::new(&mut all), seen: Vec::new(), result: Ok(()) };
        event.record(&mut fields);
        let Visitor { seen, result, .. } = fields;
        result?;
        // Each name occurs once, with its latest value.
        let fields: Vec<_> = all.split(SEPARATOR).skip(1).map(|field| (name_of(field), field)).collect();
        for (index, (name, field)) in fields.iter().enumerate() {
            if !fields[index + 1..].iter().any(|(later, _)| later == name) {
                write!(writer, ",{field}")?;
            }
        }
        if let Some(function_name) = &self.function_name
            && let Some(document) = metrics::document(&seen, Clock::system().now())
        {
            write!(writer, ",{}:{},\"_aws\":{document}", json!(metrics::FUNCTION_NAME), json!(function_name))?;
        }
        writer.write_str("}\n")
    }
}

/// Precedes each field until the line is put together. JSON has no such character that is not escaped.
const SEPARATOR: char = '\u{1f}';

/// Returns the name of a formatted field. It is an identifier, or several with dots.
fn name_of(field: &str) -> &str {
    field.split(':').next().unwrap_or_default()
}

/// Formats fields as `"name":value`, each after a [`SEPARATOR`].
struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, seen: Vec::new(), result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }

    fn add_fields(&self, present: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        self.format_fields(present.as_writer(), fields)
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    /// The names of the fields so far, among which are the line's metrics.
    seen: Vec<&'static str>,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn write(&mut self, field: &Field, value: impl fmt::Display) {
        self.seen.push(field.name());
        self.result = self.result.and_then(|()| write!(self.writer, "{SEPARATOR}\"{}\":{value}", field.name()));
    }
}

impl Visit for Visitor<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.write(field, value);
        } else {
            self.write(field, json!(null)); // JSON has no other numbers
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, json!(format!("{value:?}")));
    }
}

/// Limits how often a line is written, to once per [`LOG_INTERVAL`]. For conditions that may occur a thousand times a second.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<Option<Instant>>);

/// The shortest time between two lines of one [`LogLimit`].
const LOG_INTERVAL: Duration = Duration::from_secs(10);

impl LogLimit {
    /// Creates a limit that allows the first line.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether to write the line now.
    pub fn allows(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        cost::{US_EAST_1, Usage},
        delivery::{Attempt, Delivery, DeliveryStatus, Trigger},
        id::{DeliveryId, EventId, WebhookId},
        time::Timestamp,
    };
    use serde_json::Value;
    use std::io::{self, Seek};

    /// Returns the lines that `act` logs at `level`, in a Lambda function if a name is given.
    fn lines(level: &str, function_name: Option<&str>, act: impl FnOnce()) -> Vec<Value> {
        let (mut written, mut filter) = (tempfile::tempfile().expect("a file"), parse_filter(level).expect("a level"));
        if function_name.is_some() {
            filter = filter.with_target(metrics::TARGET, Level::INFO);
        }
        let writer = written.try_clone().expect("a second handle");
        let subscriber = subscriber(filter, function_name.map(str::to_owned), writer);
        tracing::subscriber::with_default(subscriber, act);
        written.rewind().expect("a file");
        let text = io::read_to_string(written).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    fn task() -> Task {
        let now = Timestamp::EPOCH;
        let delivery = DeliveryId { event: EventId::first_at(now), webhook: WebhookId::first_at(now) };
        Task {
            account: "acme".parse().expect("valid"),
            delivery,
            epoch: 0,
            revision: 0,
            trigger: Trigger::FIRST,
            slot: None,
            slow: false,
        }
    }

    /// Logs an attempt that was answered with `status_code`.
    fn log_attempt(status_code: u16) {
        let task = task();
        let _entered = delivery(&task).entered();
        super::attempt(1);
        let attempt = Attempt {
            number: 1,
            started_at: Timestamp::from_unix_ms(1000),
            duration_ms: 7,
            status_code: Some(status_code),
            error: None,
            response_body: Some("a receiver's secret".to_owned()),
        };
        let mut delivery = Delivery::new(&task, "user.created".parse().expect("valid"));
        delivery.status = if attempt.succeeded() { DeliveryStatus::Delivered } else { DeliveryStatus::Pending };
        let next = (!attempt.succeeded()).then_some(Timestamp::from_unix_ms(60_000));
        let usage = Usage { read_milliunits: 1_500, write_milliunits: 2_000, bytes_sent: 1_234, lambda_us: 7_031 };
        let has_delivered = attempt.succeeded();
        let line = metrics::AttemptLine { attempt, delivery, next, is_first: true, has_delivered };
        metrics::attempt(&line, &US_EAST_1.cost(usage, 256));
    }

    #[test]
    fn a_line_of_any_level_has_its_deliverys_ids_at_the_top_level() {
        let lines = lines("error", None, || {
            let _entered = delivery(&task()).entered();
            super::attempt(3);
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("a traceparent");
            super::trace(&trace);
            tracing::error!(error = %"a \"quoted\"\nerror", count = -1, whole = true, "it failed");
        });
        let line = &lines[0];
        assert_eq!(line["account"], "acme");
        for id in ["webhook_id", "event_id", "delivery_id"] {
            assert_eq!(line[id], task_id(id), "{line}");
        }
        assert_eq!((&line["attempt"], &line["level"]), (&3.into(), &"ERROR".into()));
        assert_eq!((&line["message"], &line["error"]), (&"it failed".into(), &"a \"quoted\"\nerror".into()));
        assert_eq!((&line["count"], &line["whole"]), (&(-1).into(), &true.into()));
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert!(line.get("_aws").is_none());
    }

    #[test]
    fn a_line_has_each_name_once() {
        let (mut written, filter) = (tempfile::tempfile().expect("a file"), parse_filter("error").expect("a level"));
        let subscriber = subscriber(filter, None, written.try_clone().expect("a second handle"));
        tracing::subscriber::with_default(subscriber, || {
            let _entered = delivery(&task()).entered();
            super::attempt(1);
            super::attempt(2);
            tracing::error!(account = "other", error = "\u{1f}\"account\":1", "it failed");
        });
        written.rewind().expect("a file");
        let text = io::read_to_string(written).expect("UTF-8");
        // A parser would take the last of several.
        for name in ["account", "attempt", "event_id", "error", "message"] {
            assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{name}: {text}");
        }
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["account"], &line["error"]), (&"other".into(), &"\u{1f}\"account\":1".into()));
        assert_eq!((&line["event_id"], &line["attempt"]), (&task_id("event_id").into(), &2.into()));
    }

    #[test]
    fn levels_are_known_words() {
        for level in ["off", "warn", "INFO", "warn,store=debug", "hookline::metrics[{attempts}]=info"] {
            assert_eq!(parse_filter(level).ok(), level.parse().ok(), "{level}");
        }
        for wrong in ["", "verbose", "warn,", "warn,store", "store=", "store=loud", "a=b=info"] {
            assert!(parse_filter(wrong).is_err(), "{wrong}");
        }
    }

    fn task_id(name: &str) -> String {
        let Task { delivery, .. } = task();
        match name {
            "webhook_id" => delivery.webhook.to_string(),
            "event_id" => delivery.event.to_string(),
            _ => delivery.to_string(),
        }
    }

    #[test]
    fn the_line_of_an_attempt_is_a_metrics_document() {
        for (status_code, dimensions) in [(200, 1), (500, 2)] {
            // Metrics are written at every level.
            let lines = lines("error", Some("hookline-deliver"), || log_attempt(status_code));
            let line = &lines[0];
            assert_eq!((lines.len(), &line["function_name"]), (1, &"hookline-deliver".into()));
            assert!(!line.to_string().contains("secret"), "{line}");
            let directives = line["_aws"]["CloudWatchMetrics"].as_array().expect("directives");
            assert_eq!(directives.len(), dimensions, "{line}");
            // The format requires every member that a directive names: a dimension as a string, a metric as a number.
            for directive in directives {
                assert_eq!(directive["Namespace"], metrics::NAMESPACE);
                for name in directive["Dimensions"][0].as_array().expect("dimensions") {
                    assert!(line[name.as_str().expect("text")].is_string(), "{name}: {line}");
                }
                for metric in directive["Metrics"].as_array().expect("metrics") {
                    assert!(line[metric["Name"].as_str().expect("text")].is_u64(), "{metric}: {line}");
                }
            }
        }
    }

    #[test]
    fn outside_lambda_metrics_are_lines_of_level_info() {
        assert!(lines("warn", None, || log_attempt(200)).is_empty());
        assert_eq!(lines("info", None, || log_attempt(200))[0]["latency_ms"], 7);
    }
}
