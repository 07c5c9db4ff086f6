//! Which form the log lines have, and which are written. On a terminal they are text for people, and each attempt has a line;
//! elsewhere they are JSON for programs.

use crate::{style::Style, text_lines::TextLines};
use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, Targets};

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

/// Reads a level such as `info`, or levels of targets such as `warn,deliver=debug`.
///
/// # Errors
/// A phrase for the user. A word that is no level is refused, although `Targets` would take it for the name of a target.
pub(crate) fn parse_level(text: &str) -> Result<Targets, String> {
    let is_level = |level: &str| !level.is_empty() && level.parse::<LevelFilter>().is_ok();
    let is_known = text.split(',').all(|part| is_level(part.rsplit_once('=').map_or(part, |(_, level)| level)));
    let targets = text.parse().ok().filter(|_| is_known);
    targets.ok_or_else(|| {
        "expected off, error, warn, info, debug or trace, or a list of them for targets: warn,deliver=debug".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::filter::ParseError;

    #[test]
    fn levels_are_known_words() {
        for level in ["off", "warn", "INFO", "warn,store=debug", "hookline::metrics[{attempts}]=info"] {
            assert_eq!(parse_level(level).ok(), level.parse().ok(), "{level}");
        }
        for wrong in ["", "verbose", "warn,", "warn,store", "store=", "store=loud", "a=b=info"] {
            assert!(parse_level(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_usual_filters_are_valid() {
        for usual in [USUAL_JSON, USUAL_TEXT] {
            assert!(usual.parse::<Targets>().map_err(|error: ParseError| error.to_string()).is_ok(), "{usual}");
        }
    }
}
