//! The options that every command takes.

use crate::{
    commands::Command,
    connection::{Given, Token, parse_url},
};
use clap::{Args, Parser};
use domain::account::AccountId;
use url::Url;

/// Where values come from, below the help of every command.
const PRECEDENCE: &str = "\
The URL and the token come from the option, else from the environment, else from `hookline login`, else from the local
process: http://127.0.0.1:3000 and the token in .hookline/ of this folder. A stored token is sent to its own URL only.

The exit status is 0, 1 if the command failed, or 2 if it was used wrongly.";

/// Webhooks from the command line: register and test them, publish events, follow deliveries.
#[derive(Debug, Parser)]
#[command(name = "hookline", version, after_help = PRECEDENCE, max_term_width = 120)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The URL of the API.
    #[arg(long, global = true, env = "HOOKLINE_URL", hide_env_values = true, value_parser = parse_url)]
    url: Option<Url>,

    /// The API token.
    #[arg(long, global = true, env = "HOOKLINE_TOKEN", hide_env_values = true)]
    token: Option<Token>,

    /// The account that the request is about. A platform token needs it.
    #[arg(long, global = true)]
    pub(crate) account: Option<AccountId>,

    /// Print the JSON of the API, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Global {
    /// What was given by options or the environment.
    pub(crate) fn given(self) -> Given {
        Given { url: self.url, token: self.token, account: self.account }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_valid() {
        Options::command().debug_assert();
    }

    /// The commands below `command` that have no commands below them, each with its options.
    fn leaves(path: &str, command: &clap::Command, found: &mut Vec<(String, Vec<String>)>) {
        let below: Vec<_> = command.get_subcommands().collect();
        if below.is_empty() {
            let options = command.get_arguments().filter_map(|argument| argument.get_long());
            found.push((path.to_owned(), options.map(|name| format!("--{name}")).collect()));
        }
        for command in below {
            leaves(&format!("{path} {}", command.get_name()), command, found);
        }
    }

    #[test]
    fn every_command_and_option_is_documented() {
        const PAGE: &str = include_str!("../../docs/command-line.md");
        let mut found = vec![];
        leaves("hookline", &Options::command(), &mut found);
        assert!(found.len() > 30, "{found:#?}");
        let named = found.iter().flat_map(|(path, options)| [path].into_iter().chain(options));
        let missing: Vec<_> = named.filter(|name| !PAGE.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "infra/docs/command-line.md lacks {missing:#?}");
    }
}
