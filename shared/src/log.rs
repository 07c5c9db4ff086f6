//! Logs: one JSON object a line, on standard error locally and where Lambda collects it in AWS. Ids are fields; secrets,
//! tokens and bodies are never logged.

use tracing_subscriber::EnvFilter;

/// Writes logs as JSON from here on; `level` is a filter such as `info` or `warn,hookline=debug`.
pub fn init(level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // A second call, as tests make it, keeps the first one's settings.
    let _ = lines.with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Writes logs as the function's `LOG_LEVEL` (`info`) says.
pub fn init_lambda() {
    init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()));
}
