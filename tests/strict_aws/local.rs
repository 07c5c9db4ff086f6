//! The program `local`, with every request to the embedded AWS recorded and checked against AWS's
//! limits. The end-to-end tests run it in place of `local`.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use strict_aws::strict;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // All functions share this process, so grants cannot be checked.
    local::main(Some(|request| strict::check(request, None))).await
}
