//! The program `local`, with every request to the embedded AWS recorded and checked against AWS's
//! limits. The end-to-end tests run it in place of `local`.

use std::process::ExitCode;

use clap::Parser;
use local::options::Options;
use mimalloc::MiMalloc;
use strict_aws::strict;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::log::init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()));
    // All functions share this process, so grants cannot be checked.
    match local::run(Options::parse(), Some(|request| strict::check(request, None))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
