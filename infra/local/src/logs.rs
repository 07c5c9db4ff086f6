//! Which form the log lines have, and which are written. On a terminal they are text for people, and each attempt has a line;
//! elsewhere they are JSON for programs.

use crate::{style::Style, text_lines::TextLines};
use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::filter::Targets;

/// What is written as JSON, if the user sets no level.
const USUAL_JSON: &str = "warn";
/// What is written as text, if the user sets no level: also each attempt, and what the process waits for when it ends.
const USUAL_TEXT: &str = "warn,local::closing=info,hookline::metrics[{attempts}]=info";

/// The form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere
    Auto,
    /// One readable line for each attempt, warning and error
    Text,
    /// One JSON object a line
    Json,
}

/// Starts writing logs to standard error.
pub(crate) fn start(format: LogFormat, level: Option<Targets>) {
    let stderr = std::io::stderr();
    let is_text = match format {
        LogFormat::Auto => stderr.is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let usual = if is_text { USUAL_TEXT } else { USUAL_JSON };
    let filter = level.unwrap_or_else(|| usual.parse().expect("a filter"));
    if is_text {
        telemetry::log::init_as(TextLines::new(Style::of(&stderr), std::io::stderr), filter);
    } else {
        telemetry::log::init(filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::filter::ParseError;

    #[test]
    fn the_usual_filters_are_valid() {
        for usual in [USUAL_JSON, USUAL_TEXT] {
            assert!(usual.parse::<Targets>().map_err(|error: ParseError| error.to_string()).is_ok(), "{usual}");
        }
    }
}
