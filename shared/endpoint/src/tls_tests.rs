//! The client against receivers with valid certificates, and with certificates that are invalid in each of the usual ways.

use super::{Answer, EndpointClient, resolver::GuardedResolver};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use domain::{
    delivery::AttemptError,
    endpoint_policy::{
        EndpointPolicy::{self, AllowLoopback},
        EndpointUrl,
    },
};
use http::HeaderMap;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer},
        version::{TLS12, TLS13},
    },
};

const NAME: &str = "receiver.example";
const AMPLE: Duration = Duration::from_secs(10);

/// A certificate authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes a file of root certificates with the usual irregularities: comments, mixed line endings, an invalid certificate.
    fn file(&self) -> NamedTempFile {
        let base64 = BASE64_STANDARD.encode(&self.certificate);
        let lines = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII"));
        let base64 = lines.collect::<Vec<_>>().join("\r\n");
        let block = |base64: &str| format!("-----BEGIN CERTIFICATE-----\r\n{base64}\r\n-----END CERTIFICATE-----\n");
        let file = NamedTempFile::new().expect("a file");
        let text = format!("# Invalid\n{}\n# Ours: Müller & Søn\n{}", block("AAAA"), block(&base64));
        std::fs::write(file.path(), text).expect("written");
        file
    }

    /// Issues a certificate for `name`, whose parameters `change` may change.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (params, key) = identity(name, change);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        Identity { certificate, key }
    }
}

/// A receiver's certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

fn identity(name: &str, change: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    change(&mut params);
    (params, KeyPair::generate().expect("a key"))
}

/// Starts a receiver with this identity that answers each request with 200, and returns its port.
async fn receiver(identity: Identity, versions: &[&'static SupportedProtocolVersion]) -> u16 {
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_protocol_versions(versions).expect("versions").with_no_client_auth();
    let config = config.with_single_cert(vec![identity.certificate], key).expect("an identity");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

/// Posts to `name`, which resolves to loopback, over TLS.
async fn post(authority: &Authority, name: &str, port: u16) -> Answer {
    let loopback = |_: &str| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]);
    let resolver = GuardedResolver::scripted(AllowLoopback, loopback);
    let client = EndpointClient::with(AllowLoopback, resolver, Some(authority.file().path())).expect("a client");
    let url = EndpointUrl::stored(format!("https://{name}:{port}/")).expect("a URL");
    client.post(&url, HeaderMap::new(), Bytes::from_static(b"{}"), AMPLE).await
}

#[tokio::test]
async fn a_valid_certificate_is_trusted() {
    let authority = Authority::new();
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let port = receiver(authority.issue(NAME, |_| ()), versions).await;
        assert_eq!(post(&authority, NAME, port).await, Answer { status: Some(200), ..Answer::default() });
    }
}

#[tokio::test]
async fn an_invalid_certificate_ends_the_handshake() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (params, key) = identity(NAME, |_| ());
    let self_signed = Identity { certificate: params.self_signed(&key).expect("a certificate").der().clone(), key };
    let expired = authority.issue(NAME, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let future = authority.issue(NAME, |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    for (what, identity) in [
        ("self-signed", self_signed),
        ("of an unknown authority", stranger.issue(NAME, |_| ())),
        ("for another name", authority.issue("other.example", |_| ())),
        ("for the parent domain", authority.issue("example", |_| ())),
        ("for subdomains", authority.issue("*.receiver.example", |_| ())),
        ("expired", expired),
        ("not valid yet", future),
    ] {
        let port = receiver(identity, &[&TLS13, &TLS12]).await;
        let answer = post(&authority, NAME, port).await;
        assert_eq!(answer, Answer { error: Some(AttemptError::Tls), ..Answer::default() }, "{what}");
    }
}

/// The guard applies to HTTPS as it does to HTTP: a valid certificate does not allow a private address.
#[tokio::test]
async fn a_valid_certificate_does_not_allow_a_private_address() {
    let authority = Authority::new();
    let port = receiver(authority.issue(NAME, |_| ()), &[&TLS13]).await;
    let loopback = |_: &str| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]);
    let resolver = GuardedResolver::scripted(EndpointPolicy::Strict, loopback);
    let client =
        EndpointClient::with(EndpointPolicy::Strict, resolver, Some(authority.file().path())).expect("a client");
    let url = EndpointUrl::stored(format!("https://{NAME}:{port}/")).expect("a URL");
    let answer = client.post(&url, HeaderMap::new(), Bytes::new(), AMPLE).await;
    assert_eq!(answer.error, Some(AttemptError::ForbiddenAddress));
}

#[tokio::test]
async fn a_file_without_a_certificate_fails_at_once() {
    let empty = NamedTempFile::new().expect("a file");
    for file in [empty.path(), Path::new("/nowhere/at-all.pem")] {
        let client = EndpointClient::with(AllowLoopback, GuardedResolver::system(AllowLoopback, 1), Some(file));
        let shown = client.expect_err("no roots").to_string();
        assert!(shown.contains("SSL_CERT_FILE") && shown.contains(&*file.to_string_lossy()), "{shown}");
    }
}
