//! The `api` function.

use hookline::app::App;
use lambda_http::{Error, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    hookline::log::init_lambda();
    run(api::router(App::in_lambda().await?)).await
}
