//! Finds a deployed stack.

use anyhow::{Context, anyhow};
use application::{App, config::Config};
use aws_config::BehaviorVersion;
use domain::{random::Random, time::Clock};
use std::time::Duration;
use store::{
    Clients,
    aws::{self, causes},
};

/// Time for one attempt of a call. The operator may be far from the region, and the credentials may have to be fetched first.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for a call with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates an app with the settings of the stack's functions.
pub(crate) async fn find(stack: &str) -> anyhow::Result<App> {
    let timeouts = aws::timeouts().into_builder().operation_attempt_timeout(ATTEMPT_TIMEOUT);
    let timeouts = timeouts.operation_timeout(OPERATION_TIMEOUT).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
    // template.yaml gives the function this name.
    let function = format!("{stack}-api");
    let call = aws_sdk_lambda::Client::new(&aws).get_function_configuration().function_name(&function);
    let found = call.send().await.map_err(|error| anyhow!(causes(&error)));
    let found = found.with_context(|| format!("the function {function} cannot be read"))?;
    let settings = found.environment.and_then(|environment| environment.variables).unwrap_or_default();
    let config = Config::read(|name| settings.get(name).cloned());
    let config = config.with_context(|| format!("the settings of {function} are not Hookline's"))?;
    Ok(App::new(Clients::new(&aws), config, Clock::system(), Random::system()))
}
