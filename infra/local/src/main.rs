//! `cargo run -p local`

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// The system's allocator took a fifth of the time of a delivery.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    local::main(None).await
}
