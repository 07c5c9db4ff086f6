//! The `retry` function.

use hookline::{app::App, delivery::Wakeup};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    hookline::log::init_lambda();
    let app = &App::in_lambda().await?;
    run(service_fn(async |event: LambdaEvent<Wakeup>| Ok::<_, Error>(retry::handle(app, event.payload).await?))).await
}
