//! How a Lambda function reaches AWS: as the environment says that Lambda gives it. The SDK's own loader also looks into
//! files, at other services and at each client anew; a cold start would pay for all of that (ADR 15).

use crate::config::ConfigError;
use aws_config::{BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};

/// The roots of every certificate that AWS's services show.
const ROOTS: &[u8] = include_bytes!("roots.pem");

/// Region, credentials, and where the services are if not where AWS has them (`AWS_ENDPOINT_URL`).
pub(crate) fn config() -> Result<SdkConfig, ConfigError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(variable("AWS_REGION").map(Region::new))
        .credentials_provider(credentials)
        .http_client(OneHttpClient::new(variable("AWS_CA_BUNDLE"))?);
    config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// The SDK's own HTTP client, for all of a function's SDK clients: each would otherwise make one for itself, and a store of
/// root certificates with it.
#[derive(Debug)]
struct OneHttpClient(SharedHttpClient);

impl OneHttpClient {
    /// Trusts the certificates in the file `bundle`, which AWS's tools know as `AWS_CA_BUNDLE`, or else Amazon's own roots.
    fn new(bundle: Option<String>) -> Result<Self, ConfigError> {
        let roots = match bundle {
            Some(file) => std::fs::read(file).map_err(|error| ConfigError::new("AWS_CA_BUNDLE", error))?,
            None => ROOTS.to_vec(),
        };
        let trusted = TrustStore::empty().with_pem_certificate(roots);
        let tls = TlsContext::builder().with_trust_store(trusted).build();
        let tls = tls.map_err(|error| ConfigError::new("AWS_CA_BUNDLE", error))?;
        let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        Ok(Self(client.tls_context(tls).build_https()))
    }
}

impl HttpClient for OneHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{
        RootCertStore,
        pki_types::{CertificateDer, pem::PemObject},
    };

    #[test]
    fn every_root_can_be_used() {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ROOTS) {
            roots.add(root.expect("PEM")).expect("a root certificate");
        }
        assert_eq!(roots.len(), 5);
    }

    #[test]
    fn a_bundle_that_is_not_there_is_told_of_at_once() {
        let error = OneHttpClient::new(Some("/nowhere/at-all.pem".to_owned())).expect_err("no bundle");
        assert!(error.to_string().starts_with("AWS_CA_BUNDLE "), "{error}");
    }
}
