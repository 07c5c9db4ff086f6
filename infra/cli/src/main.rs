//! `hookline`: the command line for users of the API and for operators. It uses the public API alone, except for
//! `hookline operate`, which uses the operator's AWS credentials.
//!
//! | file | holds |
//! |---|---|
//! | `options.rs` | the options and commands |
//! | `connection.rs`, `login.rs` | which API a command talks to, and what `hookline login` stores |
//! | `client/` | a client with one method for each operation of the API |
//! | `commands/` | the commands, one file a resource |
//! | `operate/` | the operator's commands |
//! | `output/` | tables and details for people, JSON for programs |
//! | `arguments.rs`, `event_data.rs` | arguments of several commands |
//! | `storage.rs` | the files that are kept |
//! | `terminal.rs`, `ends.rs`, `usage.rs` | the terminal; the signals that end a command; wrong usage |

mod arguments;
mod client;
mod commands;
mod connection;
mod ends;
mod event_data;
mod login;
mod operate;
mod options;
mod output;
mod storage;
mod terminal;
mod usage;

use clap::Parser;
use options::Options;
use std::{
    io::{self, ErrorKind},
    process::ExitCode,
};
use usage::UsageError;

/// The exit status of wrong usage, which clap uses as well.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    match commands::run(Options::parse()) {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

/// Prints what went wrong and what to do next. Returns the exit status.
fn report(error: &anyhow::Error) -> ExitCode {
    // Whoever reads the output has seen enough.
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    if let Some(error) = error.downcast_ref::<client::Error>() {
        for line in error.details() {
            eprintln!("  {line}");
        }
        if let Some(hint) = error.hint() {
            eprintln!("{hint}");
        }
    }
    if error.is::<UsageError>() { WRONG_USAGE.into() } else { ExitCode::FAILURE }
}
