//! `cargo run -p local`

use clap::Parser;
use local::options::Options;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    hookline::log::init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()));
    match local::run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line with every cause, and no backtrace: what fails here is the user's to mend.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
