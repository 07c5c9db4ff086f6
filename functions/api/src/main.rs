//! The `api` function: serves the API on Lambda.

use application::App;
use lambda_http::{Error, run};
use std::process::ExitCode;
use telemetry::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::exit_code(serve().await)
}

async fn serve() -> Result<(), Error> {
    log::init_lambda()?;
    run(api::router(App::in_lambda().await?)).await
}
