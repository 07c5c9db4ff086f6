//! `cargo run -p local`

use clap::Parser;
use local::options::Options;
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A fifth of what a delivery costs was the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    hookline::log::init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()));
    match local::run(Options::parse(), None).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line with every cause, and no backtrace: what fails here is the user's to mend.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
