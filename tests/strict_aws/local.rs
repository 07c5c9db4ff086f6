//! The program `local`, whose every request of the embedded AWS is recorded and held to AWS's limits. The end-to-end tests run
//! it in place of `local`.

use std::process::ExitCode;

use clap::Parser;
use local::options::Options;
use mimalloc::MiMalloc;
use strict_aws::strict;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    hookline::log::init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()));
    // All functions are one process here, so that no grants are judged.
    match local::run(Options::parse(), Some(|request| strict::hold(request, None))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
