//! The `deliver` function.

use application::App;
use aws_lambda_events::sqs::SqsEvent;
use deliver::{Deliverer, handle};
use endpoint::EndpointClient;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::log::init_lambda();
    let app = App::in_lambda().await?;
    let endpoints = EndpointClient::new(app.endpoint_policy)?;
    let deliverer = &Deliverer::new(app, endpoints);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| Ok::<_, Error>(handle(deliverer, event.payload).await))).await
}
