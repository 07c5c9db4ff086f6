//! The `publish` function.

use application::App;
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use std::process::ExitCode;
use telemetry::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::exit_code(serve().await)
}

async fn serve() -> Result<(), Error> {
    log::init_lambda()?;
    let app = &App::in_lambda().await?;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| Ok::<_, Error>(publish::handle(app, event.payload).await)))
        .await
}
