//! The command line and the environment variables of the local process.

use crate::{address, logs::LogFormat};
use clap::{
    ArgMatches, CommandFactory, FromArgMatches, Parser, builder::FalseyValueParser, error::ErrorKind,
    parser::ValueSource,
};
use domain::{
    allowed_origins::AllowedOrigins,
    backoff::{self, RetrySchedule},
    brand::{Accent, Name},
    webhook::{self, TrialSchedule},
};
use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tracing_subscriber::filter::Targets;

const EXAMPLES: &str = "\
Examples:
  cargo run -p local                                        keeps its data in .hookline
  cargo run -p local -- --listen 3001 --ephemeral           a second one, which keeps nothing
  cargo run -p local -- --retry-schedule 0s,2s,4s           retries within seconds, to see failures
  cargo run -p local -- --log-format json --log-level info  logs as a deployment does

An option on the command line wins over its environment variable.";

/// Hookline on one machine: webhook delivery in one process, on an embedded database.
#[derive(Clone, Debug, Parser)]
#[command(name = "local", version, after_help = EXAMPLES, next_line_help = true)]
pub(crate) struct Options {
    /// Where the API listens: a port of 127.0.0.1, or an address with a port; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", env = "HOOKLINE_LISTEN", default_value = "127.0.0.1:3000")]
    #[arg(help_heading = API, value_parser = address::parse)]
    pub(crate) listen: SocketAddr,

    /// The API token; it belongs to the account 'default' and has every scope [default: made once, kept in the data folder]
    #[arg(long, value_name = "TOKEN", env = "HOOKLINE_TOKEN", hide_env_values = true)]
    #[arg(help_heading = API, value_parser = parse_token)]
    pub(crate) token: Option<String>,

    /// Origins whose web pages may call the API: *, or a list separated by commas [default: none]
    #[arg(long, value_name = "LIST", env = "CORS_ALLOW_ORIGINS", default_value = "", hide_default_value = true)]
    #[arg(help_heading = API)]
    pub(crate) cors_allow_origins: AllowedOrigins,

    /// The name that the portal shows
    #[arg(long, value_name = "NAME", env = "PORTAL_NAME", default_value_t, help_heading = PORTAL)]
    pub(crate) portal_name: Name,

    /// The colour of the portal's links and buttons
    #[arg(long, value_name = "COLOUR", env = "PORTAL_ACCENT", default_value_t, help_heading = PORTAL)]
    pub(crate) portal_accent: Accent,

    /// Origins whose web pages may show the portal in a frame: *, or a list separated by commas [default: none]
    #[arg(long, value_name = "LIST", env = "PORTAL_FRAME_ANCESTORS", default_value = "", hide_default_value = true)]
    #[arg(help_heading = PORTAL)]
    pub(crate) portal_frame_ancestors: AllowedOrigins,

    /// The folder for the data; it is created if it is missing
    #[arg(long, value_name = "DIR", env = "HOOKLINE_DATA", default_value = ".hookline", help_heading = DATA)]
    pub(crate) data: PathBuf,

    /// Keeps everything in memory, even if the environment names a folder; it is lost when the process ends
    #[arg(long, help_heading = DATA)]
    pub(crate) ephemeral: bool,

    /// The wait before each attempt: before the first since the publication, before each other since the attempt before
    #[arg(long, value_name = "LIST", env = "RETRY_SCHEDULE", default_value = backoff::DEFAULT, help_heading = DELIVERIES)]
    pub(crate) retry_schedule: RetrySchedule,

    /// When a webhook that failures have disabled is tried again, each time since the disabling
    #[arg(long, value_name = "LIST", env = "TRIAL_SCHEDULE", default_value = webhook::DEFAULT_TRIALS)]
    #[arg(help_heading = DELIVERIES)]
    pub(crate) trial_schedule: TrialSchedule,

    /// Allows only https receivers on public addresses, as a deployment does
    #[arg(long, env = "STRICT_ENDPOINTS", value_parser = FalseyValueParser::new(), help_heading = DELIVERIES)]
    pub(crate) strict_endpoints: bool,

    /// The form of the log lines on standard error
    #[arg(long, value_name = "FORMAT", env = "LOG_FORMAT", value_enum, default_value = "auto", help_heading = LOGS)]
    pub(crate) log_format: LogFormat,

    /// What is logged: off, error, warn, info, debug or trace, also by target as in warn,deliver=debug [default: warn; as
    /// text, each attempt too]
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL", value_parser = telemetry::log::parse_filter, help_heading = LOGS)]
    pub(crate) log_level: Option<Targets>,
}

// The groups of `--help`.
const API: &str = "API";
const PORTAL: &str = "Portal";
const DATA: &str = "Data";
const DELIVERIES: &str = "Deliveries";
const LOGS: &str = "Logs";

impl Options {
    /// Reads the command line and the environment. Ends the process if they are wrong, with status 2, or ask for help.
    pub(crate) fn read() -> Self {
        Self::from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn from(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        // Only the command line is refused. Who has HOOKLINE_DATA in the environment can still use `--ephemeral`.
        let is_given = |matches: &ArgMatches| matches.value_source("data") == Some(ValueSource::CommandLine);
        if matches.get_flag("ephemeral") && is_given(&matches) {
            let refusal = "--ephemeral keeps nothing, so it cannot be used with --data: leave one of them out";
            return Err(command.error(ErrorKind::ArgumentConflict, refusal));
        }
        Self::from_arg_matches(&matches)
    }

    /// The folder for the data, or `None` if everything stays in memory.
    pub(crate) fn data_folder(&self) -> Option<&Path> {
        (!self.ephemeral).then_some(self.data.as_path())
    }
}

fn parse_token(text: &str) -> Result<String, String> {
    if (8..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("must have 8 to 256 visible ASCII characters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_as_documented() {
        Options::command().debug_assert();
        let options = Options::from(["local"]).expect("no option is required");
        assert_eq!(options.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(options.data_folder(), Some(Path::new(".hookline")));
        assert_eq!(options.retry_schedule, RetrySchedule::default());
        assert_eq!(options.cors_allow_origins, AllowedOrigins::NONE);
        assert_eq!((options.log_format, options.log_level), (LogFormat::Auto, None));
        assert!(!options.strict_endpoints && !options.ephemeral && options.token.is_none());
    }

    #[test]
    fn wrong_options_are_refused() {
        for wrong in [
            ["--listen", "here"],
            ["--token", "short"],
            ["--retry-schedule", "soon"],
            ["--cors-allow-origins", "here"],
            ["--log-level", "verbose"],
            ["--log-format", "xml"],
        ] {
            assert!(Options::from(["local"].iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_process_without_data_has_no_folder() {
        let options = Options::from(["local", "--ephemeral"]).expect("valid");
        assert_eq!(options.data_folder(), None);
        let refused = Options::from(["local", "--ephemeral", "--data", "folder"]).expect_err("both");
        assert_eq!(refused.kind(), ErrorKind::ArgumentConflict);
    }
}
