//! The strict AWS around a real one or an embedded one: each request is recorded and judged, and what AWS would refuse for what
//! it says ends the whole process, so that no retry and no caught panic can hide it.

use std::io::Write;
use std::sync::LazyLock;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use hookline::app::App;

use crate::call::Call;
use crate::stack::Stack;
use crate::template::template;
use crate::{grants, limits, record};

/// What `template.yaml` deploys.
static STACK: LazyLock<Stack> = LazyLock::new(|| Stack::read(&template()));

/// Records and judges a request that `function` makes, or that some function makes where none is named.
///
/// Ends the process where AWS would refuse the request.
pub fn hold(request: &HttpRequest, function: Option<&str>) {
    let call = Call::read(request);
    record::record(&call);
    let denied = function.and_then(|name| {
        let granted = &STACK.function(name).grants;
        let missing = grants::needs(&call).into_iter().find(|need| !granted.iter().any(|grant| grant.allows(need)));
        missing.map(|need| format!("{name} has no grant of {} on {}", need.action, need.resource))
    });
    if let Some(wrong) = denied.or_else(|| limits::breach(&call)) {
        // Not by a macro: what tests print by those is shown only where the test itself fails.
        let _ = writeln!(std::io::stderr(), "AWS would refuse {call}: {wrong}");
        std::process::exit(1);
    }
}

/// `app` as `function` has it: its SDK is `sdk`, each request of which is held to what AWS allows that function.
///
/// # Panics
/// Where `sdk` has no HTTP client.
pub fn app(app: &App, sdk: &SdkConfig, function: &'static str) -> App {
    let inner = sdk.http_client().expect("an HTTP client");
    let sdk = sdk.to_builder().http_client(StrictClient { inner, function }).build();
    App::new(&sdk, app.config.clone(), app.clock.clone(), app.random.clone())
}

#[derive(Clone, Debug)]
struct StrictClient {
    inner: SharedHttpClient,
    function: &'static str,
}

#[derive(Debug)]
struct StrictConnector {
    inner: SharedHttpConnector,
    function: &'static str,
}

impl HttpClient for StrictClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(StrictConnector { inner, function: self.function })
    }
}

impl HttpConnector for StrictConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        hold(&request, Some(self.function));
        self.inner.call(request)
    }
}
