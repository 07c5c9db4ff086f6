//! `cargo run -p local`

use clap::Parser;
use local::options::Options;
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// The system's allocator took a fifth of the time of a delivery.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::log::init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()));
    match local::run(Options::parse(), None).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Print one line with every cause and no backtrace, because the user can fix what fails here.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
