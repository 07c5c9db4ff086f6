//! The one HTTP client toward AWS. It discards connections that died while Lambda had the process frozen.

use super::SettingError;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The root certificates of AWS's services.
const ROOTS: &[u8] = include_bytes!("roots.pem");

/// The SDK's own HTTP client, shared by all SDK clients of a function. Otherwise each would create its own, with its own store
/// of root certificates.
///
/// A request that is not answered discards all idle connections. While Lambda has a process frozen, the other end may go away
/// without notice. Then every connection in the pool is dead, not only the one that was tried, and the SDK's next attempt would
/// take another dead one and time out as well.
#[derive(Clone, Debug)]
pub(super) struct OneHttpClient(Arc<Connections>);

#[derive(Debug)]
struct Connections {
    tls: TlsContext,
    pool: Mutex<Pool>,
}

/// The connections that were made since the last one was found dead.
#[derive(Clone, Debug)]
struct Pool {
    client: SharedHttpClient,
    /// Counts the pools: each replacement gets the next number.
    number: u64,
}

impl OneHttpClient {
    /// Creates a client that trusts the certificates in the file `bundle` (`AWS_CA_BUNDLE`, as in AWS's own tools), or Amazon's
    /// roots if there is none.
    pub(super) fn new(bundle: Option<String>) -> Result<Self, SettingError> {
        let roots = match bundle {
            Some(file) => std::fs::read(file).map_err(|error| SettingError::new("AWS_CA_BUNDLE", error))?,
            None => ROOTS.to_vec(),
        };
        let trusted = TrustStore::empty().with_pem_certificate(roots);
        let tls = TlsContext::builder().with_trust_store(trusted).build();
        let tls = tls.map_err(|error| SettingError::new("AWS_CA_BUNDLE", error))?;
        let pool = Pool { client: client(&tls), number: 0 };
        Ok(Self(Arc::new(Connections { tls, pool: Mutex::new(pool) })))
    }
}

fn client(tls: &TlsContext) -> SharedHttpClient {
    let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    client.tls_context(tls.clone()).build_https()
}

impl Connections {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the pool of that number by an empty one. If several of its requests fail, only the first does this.
    fn discard(&self, number: u64) {
        let mut pool = self.pool();
        if pool.number == number {
            *pool = Pool { client: client(&self.tls), number: number + 1 };
        }
    }
}

impl HttpClient for OneHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let Pool { client, number } = self.0.pool().clone();
        let connector = client.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner: connector, pool: number, connections: Arc::clone(&self.0) })
    }
}

/// The connector of one attempt of a call.
#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    /// The number of its pool.
    pool: u64,
    connections: Arc<Connections>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        let unanswered = Unanswered(Some((Arc::clone(&self.connections), self.pool)));
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            if answer.is_ok() {
                unanswered.answered();
            }
            answer
        })
    }
}

/// A request without an answer so far. If it is dropped in this state, because its time was up or its connection broke, it
/// discards the idle connections of its pool, whose number it holds.
struct Unanswered(Option<(Arc<Connections>, u64)>);

impl Unanswered {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some((connections, pool)) = self.0.take() {
            connections.discard(pool);
        }
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
    fn every_root_is_a_valid_certificate() {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ROOTS) {
            roots.add(root.expect("PEM")).expect("a root certificate");
        }
        assert_eq!(roots.len(), 5);
    }

    #[test]
    fn a_missing_bundle_is_an_error_at_once() {
        let error = OneHttpClient::new(Some("/nowhere/at-all.pem".to_owned())).expect_err("no bundle");
        assert!(error.to_string().starts_with("AWS_CA_BUNDLE "), "{error}");
    }
}
