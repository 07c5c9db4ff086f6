//! `cargo run -p local`

use clap::Parser;
use local::options::Options;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    hookline::log::init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()));
    local::run(Options::parse()).await
}
