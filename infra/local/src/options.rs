//! The command line and environment of the local runner.

use clap::{Parser, builder::FalseyValueParser};
use hookline::schedule::{self, RetrySchedule};
use std::{net::SocketAddr, path::PathBuf};

/// Hookline on one machine: webhook delivery in one process, on an embedded database.
#[derive(Clone, Debug, Parser)]
#[command(name = "local", version)]
pub struct Options {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", env = "HOOKLINE_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// Folder for the data.
    #[arg(long, value_name = "DIR", env = "HOOKLINE_DATA", default_value = ".hookline")]
    pub data: PathBuf,

    /// Keep everything in memory: nothing is left when the process ends.
    #[arg(long)]
    pub ephemeral: bool,

    /// API token for the account 'default', with every scope; made once and kept in the data folder if not given.
    #[arg(long, value_name = "TOKEN", env = "HOOKLINE_TOKEN", hide_env_values = true, value_parser = parse_token)]
    pub token: Option<String>,

    /// Waits before each attempt.
    #[arg(long, value_name = "LIST", env = "RETRY_SCHEDULE", default_value = schedule::DEFAULT)]
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
    fn says_what_is_wrong() {
        for wrong in [["--listen", "here"], ["--token", "short"], ["--retry-schedule", "soon"]] {
            assert!(Options::try_parse_from(["local"].iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
