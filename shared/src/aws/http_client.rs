//! The one HTTP client toward AWS, and what it does about connections that have died unseen.

use super::ConfigError;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The roots of every certificate that AWS's services show.
const ROOTS: &[u8] = include_bytes!("roots.pem");

/// The SDK's own HTTP client, for all of a function's SDK clients: each would otherwise make one for itself, and a store of
/// root certificates with it.
///
/// A request that is not answered takes all idle connections with it. While Lambda has a process frozen, the other end may
/// be gone without a word, and then every connection in the pool is dead, not only the one that was tried: the SDK's next
/// attempt would take another of them and time out as well.
#[derive(Clone, Debug)]
pub(super) struct OneHttpClient(Arc<Connections>);

#[derive(Debug)]
struct Connections {
    tls: TlsContext,
    pool: Mutex<Pool>,
}

/// Connections that were made since the last one was found dead.
#[derive(Clone, Debug)]
struct Pool {
    client: SharedHttpClient,
    generation: u64,
}

impl OneHttpClient {
    /// Trusts the certificates in the file `bundle`, which AWS's tools know as `AWS_CA_BUNDLE`, or else Amazon's own roots.
    pub(super) fn new(bundle: Option<String>) -> Result<Self, ConfigError> {
        let roots = match bundle {
            Some(file) => std::fs::read(file).map_err(|error| ConfigError::new("AWS_CA_BUNDLE", error))?,
            None => ROOTS.to_vec(),
        };
        let trusted = TrustStore::empty().with_pem_certificate(roots);
        let tls = TlsContext::builder().with_trust_store(trusted).build();
        let tls = tls.map_err(|error| ConfigError::new("AWS_CA_BUNDLE", error))?;
        let pool = Pool { client: client(&tls), generation: 0 };
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

    /// Gives up the idle connections of `generation`; once, however many requests of it fail.
    fn give_up(&self, generation: u64) {
        let mut pool = self.pool();
        if pool.generation == generation {
            *pool = Pool { client: client(&self.tls), generation: generation + 1 };
        }
    }
}

impl HttpClient for OneHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let Pool { client, generation } = self.0.pool().clone();
        let connector = client.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner: connector, generation, connections: Arc::clone(&self.0) })
    }
}

/// Connects for one attempt of a call.
#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    generation: u64,
    connections: Arc<Connections>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        let unanswered = Unanswered(Some((Arc::clone(&self.connections), self.generation)));
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            if answer.is_ok() {
                unanswered.answered();
            }
            answer
        })
    }
}

/// A request that has had no answer yet. Dropped as that, because its time was up or its connection broke, it gives up
/// the idle connections.
struct Unanswered(Option<(Arc<Connections>, u64)>);

impl Unanswered {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some((connections, generation)) = self.0.take() {
            connections.give_up(generation);
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
