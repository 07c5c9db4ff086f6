//! A meter between an app and AWS: the calls that the app makes, and the units that they consume.

use std::sync::{Arc, Mutex, PoisonError};

use application::App;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use strict_aws::strict;

use crate::harness::world::World;

/// A call of AWS.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The operation, such as `GetItem`.
    pub(crate) operation: String,
    /// The units that it consumed of a table, 0 for a queue.
    pub(crate) units: f64,
    /// Whether it is a consistent read.
    pub(crate) is_consistent: bool,
}

/// The meter of one app. Clones share one list of calls.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    inner: SharedHttpClient,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Meter {
    /// Returns an app with the permissions of `function`, and its meter.
    pub(crate) fn of(world: &World, function: &'static str) -> (App, Self) {
        let sdk = world.aws.sdk_config();
        let inner = sdk.http_client().expect("the SDK's configuration has an HTTP client");
        let meter = Self { inner, calls: Arc::default() };
        let metered = sdk.to_builder().http_client(meter.clone()).build();
        (strict::app(&world.app, &metered, function), meter)
    }

    /// Returns the calls since the last time, in the order of their answers.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the operations since the last time, sorted by name.
    pub(crate) fn operations(&self) -> Vec<String> {
        let mut operations: Vec<_> = self.take().into_iter().map(|call| call.operation).collect();
        operations.sort_unstable();
        operations
    }
}

impl HttpClient for Meter {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, calls: Arc::clone(&self.calls) })
    }
}

#[derive(Clone, Debug)]
struct Connector {
    inner: SharedHttpConnector,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Connector {
    async fn answer(&self, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let (service, operation) = target.split_once('.').unwrap_or(("", "CreateSchedule"));
        let mut asked: Value =
            serde_json::from_slice(request.body().bytes().unwrap_or_default()).expect("the SDK sends JSON");
        let is_consistent = asked["ConsistentRead"] == true;
        if service.starts_with("DynamoDB") {
            asked["ReturnConsumedCapacity"] = "TOTAL".into();
            *request.body_mut() = SdkBody::from(asked.to_string());
        }
        let response = self.inner.call(request).await?;
        let answered: Value = serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
        let units = answered["ConsumedCapacity"]["CapacityUnits"].as_f64().unwrap_or_default();
        let call = Call { operation: operation.to_owned(), units, is_consistent };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        Ok(response)
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.answer(request).await })
    }
}
