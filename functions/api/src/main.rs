//! The `api` function: serves the API on Lambda.

use application::App;
use lambda_http::{Error, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::log::init_lambda();
    run(api::router(App::in_lambda().await?)).await
}
