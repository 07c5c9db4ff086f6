//! The `deliver` function.

use application::App;
use aws_lambda_events::sqs::SqsEvent;
use deliver::{Deliverer, handle};
use domain::cost::US_EAST_1;
use endpoint::EndpointClient;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use std::process::ExitCode;
use store::capacity;
use telemetry::{log, metrics};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::exit_code(serve().await)
}

async fn serve() -> Result<(), Error> {
    log::init_lambda()?;
    let (app, used) = capacity::metered(App::in_lambda()).await;
    let app = app?;
    let endpoints = EndpointClient::new(app.endpoint_policy)?;
    let mut deliverer = Deliverer::new(app, endpoints);
    let memory_mb = std::env::var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").ok().and_then(|mb| mb.parse().ok());
    deliverer.memory_mb = memory_mb.unwrap_or(deliverer.memory_mb);
    metrics::no_task(&US_EAST_1.cost(used, deliverer.memory_mb));
    let deliverer = &deliverer;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| Ok::<_, Error>(handle(deliverer, event.payload).await))).await
}
