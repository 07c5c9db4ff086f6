//! Logs: one JSON object a line, on standard error locally and where Lambda collects it in AWS. Ids are fields; secrets,
//! tokens and bodies are never logged.

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// The crates whose lines are written at every level.
const OURS: [&str; 6] = ["hookline", "api", "publish", "deliver", "retry", "local"];

/// Writes logs as JSON from here on; `level` is a filter such as `info` or `warn,hookline=debug`.
pub fn init(level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true);
    let lines = lines.with_span_list(false).with_writer(std::io::stderr).with_filter(filter);
    // A second call, as tests make it, keeps the first one's settings.
    let _ = tracing_subscriber::registry().with(lines).with(filter_fn(is_safe)).try_init();
}

/// Whether a line can hold no secret. Below `info`, libraries write whole requests, and with them secrets and tokens: that
/// is left out, whatever level is asked for.
fn is_safe(line: &Metadata<'_>) -> bool {
    let krate = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || OURS.contains(&krate)
}

/// Writes logs as the function's `LOG_LEVEL` (`info`) says.
pub fn init_lambda() {
    init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()));
}
