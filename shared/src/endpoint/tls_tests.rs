//! The client against receivers whose TLS is wrong in each of the usual ways, and against one whose TLS is right.

use super::{
    Answer, EndpointClient,
    EndpointPolicy::{self, AllowLoopback},
    EndpointUrl, PostError,
    resolver::JudgingResolver,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
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

/// Whoever signs the certificates that are to be believed.
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

    /// A file of root certificates as they are found: with remarks, with lines of any ending, with one that is none.
    fn file(&self) -> NamedTempFile {
        let base64 = BASE64_STANDARD.encode(&self.certificate);
        let lines = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII"));
        let base64 = lines.collect::<Vec<_>>().join("\r\n");
        let block = |base64: &str| format!("-----BEGIN CERTIFICATE-----\r\n{base64}\r\n-----END CERTIFICATE-----\n");
        let file = NamedTempFile::new().expect("a file");
        let text = format!("# Nobody's\n{}\n# Ours: Müller & Søn\n{}", block("AAAA"), block(&base64));
        std::fs::write(file.path(), text).expect("written");
        file
    }

    /// A certificate for `name`, changed by `change`, and its key.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (params, key) = identity(name, change);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        Identity { certificate, key }
    }
}

struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

fn identity(name: &str, change: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    change(&mut params);
    (params, KeyPair::generate().expect("a key"))
}

/// Starts a receiver with this identity that answers each request with 200; gives its port.
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

/// Posts to `name`, which is this machine, over TLS.
async fn post(authority: &Authority, name: &str, port: u16) -> Answer {
    let loopback = |_: &str| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]);
    let resolver = JudgingResolver::scripted(AllowLoopback, loopback);
    let client = EndpointClient::with(AllowLoopback, resolver, Some(authority.file().path())).expect("a client");
    let url = EndpointUrl::stored(format!("https://{name}:{port}/")).expect("a URL");
    client.post(&url, HeaderMap::new(), Bytes::from_static(b"{}"), AMPLE).await
}

#[tokio::test]
async fn a_certificate_that_is_in_order_is_believed() {
    let authority = Authority::new();
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let port = receiver(authority.issue(NAME, |_| ()), versions).await;
        assert_eq!(post(&authority, NAME, port).await, Answer { status: Some(200), ..Answer::default() });
    }
}

#[tokio::test]
async fn any_other_certificate_ends_the_handshake() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (params, key) = identity(NAME, |_| ());
    let self_signed = Identity { certificate: params.self_signed(&key).expect("a certificate").der().clone(), key };
    let expired = authority.issue(NAME, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let to_come = authority.issue(NAME, |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    for (what, identity) in [
        ("self-signed", self_signed),
        ("of an authority that nobody knows", stranger.issue(NAME, |_| ())),
        ("for another name", authority.issue("other.example", |_| ())),
        ("for the name above", authority.issue("example", |_| ())),
        ("for another level", authority.issue("*.receiver.example", |_| ())),
        ("expired", expired),
        ("not valid yet", to_come),
    ] {
        let port = receiver(identity, &[&TLS13, &TLS12]).await;
        let answer = post(&authority, NAME, port).await;
        assert_eq!(answer, Answer { error: Some(PostError::Tls), ..Answer::default() }, "{what}");
    }
}

/// The same guard for TLS as for plain HTTP: a certificate is no reason to go where nobody may.
#[tokio::test]
async fn a_good_certificate_does_not_open_a_private_address() {
    let authority = Authority::new();
    let port = receiver(authority.issue(NAME, |_| ()), &[&TLS13]).await;
    let loopback = |_: &str| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]);
    let resolver = JudgingResolver::scripted(EndpointPolicy::Strict, loopback);
    let client =
        EndpointClient::with(EndpointPolicy::Strict, resolver, Some(authority.file().path())).expect("a client");
    let url = EndpointUrl::stored(format!("https://{NAME}:{port}/")).expect("a URL");
    let answer = client.post(&url, HeaderMap::new(), Bytes::new(), AMPLE).await;
    assert_eq!(answer.error, Some(PostError::ForbiddenAddress));
}

#[tokio::test]
async fn a_file_without_a_certificate_is_told_of_at_once() {
    let empty = NamedTempFile::new().expect("a file");
    for file in [empty.path(), Path::new("/nowhere/at-all.pem")] {
        let error = EndpointClient::with(AllowLoopback, JudgingResolver::system(AllowLoopback, 1), Some(file));
        let told = error.expect_err("no roots").to_string();
        assert!(told.contains("SSL_CERT_FILE") && told.contains(&*file.to_string_lossy()), "{told}");
    }
}
