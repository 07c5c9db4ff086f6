//! Records and checks each request before another AWS answers it. A request that AWS would refuse
//! ends the process, so that no retry and no caught panic can hide it.

use std::io::Write;
use std::sync::LazyLock;

use application::App;
use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use store::Clients;

use crate::call::Call;
use crate::stack::Stack;
use crate::template::template;
use crate::{grants, limits, record};

/// The functions that `template.yaml` deploys.
static STACK: LazyLock<Stack> = LazyLock::new(|| Stack::read(&template()));

/// Records a request and checks it against the services' limits, and against the grants of
/// `function` if one is named.
///
/// Ends the process if AWS would refuse the request.
pub fn check(request: &HttpRequest, function: Option<&str>) {
    let call = Call::read(request);
    record::record(&call);
    let denied = function.and_then(|name| {
        let granted = &STACK.function(name).grants;
        let missing = grants::needs(&call).into_iter().find(|need| !granted.iter().any(|grant| grant.allows(need)));
        missing.map(|need| format!("{name} has no grant of {} on {}", need.action, need.resource))
    });
    if let Some(wrong) = denied.or_else(|| limits::breach(&call)) {
        // Not `eprintln!`: the test harness captures its output and shows it only for a failed
        // test.
        let _ = writeln!(std::io::stderr(), "AWS would refuse {call}: {wrong}");
        std::process::exit(1);
    }
}

/// Returns `app` for `function`: it calls AWS through `sdk`, and each of its requests is checked
/// with [`check`].
///
/// # Panics
/// Panics if `sdk` has no HTTP client.
pub fn app(app: &App, sdk: &SdkConfig, function: &'static str) -> App {
    let inner = sdk.http_client().expect("the SDK's configuration has an HTTP client");
    let sdk = sdk.to_builder().http_client(StrictClient { inner, function }).build();
    app.with_clients(Clients::new(&sdk))
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
        check(&request, Some(self.function));
        self.inner.call(request)
    }
}
