//! The command line and the environment variables of the local process.

use clap::{Parser, builder::FalseyValueParser};
use domain::backoff::{self, RetrySchedule};
use std::{net::SocketAddr, path::PathBuf};

/// Hookline on one machine: webhook delivery in one process, on an embedded database.
#[derive(Clone, Debug, Parser)]
#[command(name = "local", version)]
pub struct Options {
    /// Address to listen on; port 0 picks a free port.
    #[arg(long, value_name = "ADDR", env = "HOOKLINE_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// Folder for the data; created if it is missing.
    #[arg(long, value_name = "DIR", env = "HOOKLINE_DATA", default_value = ".hookline")]
    pub data: PathBuf,

    /// Keep everything in memory; it is lost when the process ends.
    #[arg(long)]
    pub ephemeral: bool,

    /// API token of the account 'default', with every scope; if not given, generated once and kept in the data folder.
    #[arg(long, value_name = "TOKEN", env = "HOOKLINE_TOKEN", hide_env_values = true, value_parser = parse_token)]
    pub token: Option<String>,

    /// Wait before each attempt: the first since publication, each other since the attempt before.
    #[arg(long, value_name = "LIST", env = "RETRY_SCHEDULE", default_value = backoff::DEFAULT)]
    pub retry_schedule: RetrySchedule,

    /// Allow only https receivers on public addresses, as a deployment does.
    #[arg(long, env = "STRICT_ENDPOINTS", value_parser = FalseyValueParser::new())]
    pub strict_endpoints: bool,
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
    use clap::CommandFactory;

    #[test]
    fn the_defaults_are_as_documented() {
        Options::command().debug_assert();
        let options = Options::parse_from(["local"]);
        assert_eq!(options.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(options.data, PathBuf::from(".hookline"));
        assert_eq!(options.retry_schedule, RetrySchedule::default());
        assert!(!options.strict_endpoints && !options.ephemeral && options.token.is_none());
    }

    #[test]
    fn wrong_options_are_refused() {
        for wrong in [["--listen", "here"], ["--token", "short"], ["--retry-schedule", "soon"]] {
            assert!(Options::try_parse_from(["local"].iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
