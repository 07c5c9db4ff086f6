//! The HTTP client for receivers: a guarded POST, bounded in time and in bytes. It returns no error: if something goes wrong,
//! the [`Answer`] says what.

use super::{
    admission::{Admission, Bounds, Permit},
    dial::NoteDials,
    error::{self, BuildError},
    excerpt::Excerpt,
    resolver::GuardedResolver,
    retry_after::RetryAfter,
    roots::tls_trusting,
    transport::{Clients, Transport},
};
use bytes::{Bytes, BytesMut};
use domain::{
    delivery::AttemptError,
    endpoint_policy::{EndpointPolicy, EndpointUrl},
    webhook::options::TIMEOUT_MAX_S,
};
use http::{HeaderMap, Method, header};
use reqwest::Request;
use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// The most bytes of a response body that are read. After that, the connection is dropped.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// How long an idle connection is kept for the next request. Node.js and Apache close an idle connection after 5 s, others
/// later. So no request is written to a connection that the receiver is about to close, or that died unnoticed while Lambda
/// had frozen this process. The pool checks the age when it hands out a connection, so one that was idle during a freeze is
/// not used.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a request waits for admission. The requests before it end within a few hundred milliseconds, or they hang; so a
/// longer wait would not help. Together with the timeouts in `shared/store/src/aws/mod.rs` it fits into a function's 45 s.
const ADMISSION_WAIT: Duration = Duration::from_secs(2);

/// Bounds a connection attempt that outlives its request. The pool completes such an attempt for the next request. No request
/// waits longer for its connection: the longest timeout of a webhook is as long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(TIMEOUT_MAX_S as u64);

/// How much a receiver may send over HTTP/2 before we read it, per request and per connection. The window for a request has
/// HTTP/2's own default size; hyper's default is 2 MiB.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bounds on the response headers. HTTP/1 bounds their number (and hyper their bytes, to about 400 KiB), HTTP/2 their bytes.
const HTTP1_MAX_HEADERS: usize = 128;
const HTTP2_MAX_HEADER_LIST_BYTES: u32 = 32 * 1024;

/// What came back from a receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code, if the headers arrived. If there is also an `error`, the attempt has failed, whatever the status code.
    pub status: Option<u16>,
    /// Why there is no complete answer.
    pub error: Option<AttemptError>,
    /// The beginning of the body: at most 1 KiB of text, without control characters other than line breaks and tabs.
    pub body_excerpt: Option<String>,
    /// The wait that the receiver asked for, unclamped.
    pub retry_after: Option<RetryAfter>,
}

/// A complete answer to a request that is not a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeAnswer {
    /// The status code.
    pub status: u16,
    /// The body, at most 64 KiB.
    pub body: Bytes,
}

/// Posts to receivers under one endpoint policy. Cheap to clone. Clones share their connections.
#[derive(Clone, Debug)]
pub struct EndpointClient {
    policy: EndpointPolicy,
    admission: Admission,
    transport: Transport,
    /// Dials public addresses only: for the port of Lambda's runtime API, if the policy names that port.
    public_only: Option<Transport>,
}

/// The right to make one request to a URL. It counts as a request under way until it is used or dropped.
#[derive(Debug)]
pub struct Admitted<'a> {
    client: &'a EndpointClient,
    url: &'a EndpointUrl,
    permit: Permit,
    bytes_sent: AtomicU64,
}

/// The parts of an answer that have arrived. A timeout does not lose them.
#[derive(Default)]
struct Progress {
    status: Option<u16>,
    retry_after: Option<RetryAfter>,
    excerpt: Excerpt,
}

impl EndpointClient {
    /// Creates a client that trusts the root certificates in the file that `SSL_CERT_FILE` names, or those of the system if the
    /// variable is not set. Reading them takes time, so create one client per process.
    ///
    /// # Errors
    /// TLS cannot be set up, for example because there are no root certificates.
    pub fn new(policy: EndpointPolicy) -> Result<Self, BuildError> {
        Self::bounded(policy, Bounds::default())
    }

    /// Creates a client like [`new`](Self::new), with other bounds on what is open at once.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn bounded(policy: EndpointPolicy, bounds: Bounds) -> Result<Self, BuildError> {
        let roots = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty());
        let client =
            Self::with(policy, GuardedResolver::system(policy, bounds.look_ups), roots.as_ref().map(Path::new))?;
        Ok(Self { admission: Admission::new(bounds), ..client })
    }

    /// Creates a client that looks names up with `look_up`, which may block.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[cfg(feature = "simulation")]
    pub fn looking_up(
        policy: EndpointPolicy,
        look_up: impl Fn(&str) -> std::io::Result<Vec<std::net::SocketAddr>> + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        Self::with(policy, GuardedResolver::blocking(policy, Bounds::default().look_ups, look_up), None)
    }

    /// Creates a client that gets addresses from `resolver` and trusts the root certificates in the file `roots`, or those of
    /// the system.
    pub(super) fn with(
        policy: EndpointPolicy,
        resolver: GuardedResolver,
        roots: Option<&Path>,
    ) -> Result<Self, BuildError> {
        let tls = roots.map(tls_trusting).transpose()?;
        let network = |address_policy| {
            let (resolver, tls) = (resolver.with_policy(address_policy), tls.clone());
            let clients = Clients::new(move |idle_per_host_max| {
                let builder = Self::builder(policy, resolver.clone()).pool_max_idle_per_host(idle_per_host_max);
                let builder = match &tls {
                    Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
                    // The system's store, which may be a folder of certificates or a system service.
                    None => builder.tls_version_min(reqwest::tls::Version::TLS_1_2),
                };
                Ok(builder.build()?)
            });
            clients.map(Transport::Network)
        };
        let (usual_policy, has_forbidden_port) = match policy {
            EndpointPolicy::AllowLoopbackExcept(_) => (EndpointPolicy::AllowLoopback, true),
            EndpointPolicy::Strict | EndpointPolicy::AllowLoopback => (policy, false),
        };
        let public_only = has_forbidden_port.then(|| network(EndpointPolicy::Strict)).transpose()?;
        let admission = Admission::new(Bounds::default());
        Ok(Self { policy, admission, transport: network(usual_policy)?, public_only })
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that creates an outgoing client, behind the guard")]
    fn builder(policy: EndpointPolicy, resolver: GuardedResolver) -> reqwest::ClientBuilder {
        // No retry policy is set, on purpose. By default, only requests that the receiver cannot have processed are sent again:
        // - hyper-util resends a request that was not written at all, because a pooled connection turned out to be closed.
        // - reqwest resends, at most twice, a request that an HTTP/2 receiver declared unprocessed (RFC 9113, section 8.7: a
        //   GOAWAY without an error for a lower stream, or REFUSED_STREAM). Receivers end an idle or long-used connection in
        //   this way. `retry::never()` would turn each of these cases into a failed attempt.
        // Once a byte of a request was written over HTTP/1, they never resend it. `transport.rs` does so once, if the connection
        // was reused and ended without an answer. Otherwise the attempt fails with `AttemptError::Closed`, and the retry
        // schedule decides.
        reqwest::Client::builder()
            .dns_resolver(resolver)
            .https_only(policy == EndpointPolicy::Strict)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy() // a proxy from the environment would dial in our place, past the guard
            .connect_timeout(CONNECT_TIMEOUT)
            .connector_layer(NoteDials)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .http1_max_headers(HTTP1_MAX_HEADERS)
            .http2_max_header_list_size(HTTP2_MAX_HEADER_LIST_BYTES)
            .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
    }

    /// Creates a client that hands requests to `receive` in this process instead of sending them over the network. They pass
    /// the same guard before. `look_up` returns the addresses of a name.
    #[cfg(feature = "simulation")]
    pub fn in_process(
        policy: EndpointPolicy,
        look_up: impl Fn(&str) -> std::io::Result<Vec<std::net::SocketAddr>> + Send + Sync + 'static,
        receive: super::Receive,
    ) -> Self {
        let resolver = GuardedResolver::scripted(policy, look_up);
        let admission = Admission::new(Bounds::default());
        Self { policy, admission, transport: Transport::InProcess { resolver, receive }, public_only: None }
    }

    /// Waits up to 2 s until one more POST to `url` may be under way: there are bounds on the requests to one host and port,
    /// and in all. Returns `None` if it may not; then requeue the task. Call this before you acquire a lease, because the wait
    /// would use up the lease.
    pub async fn admit<'a>(&'a self, url: &'a EndpointUrl) -> Option<Admitted<'a>> {
        let permit = tokio::time::timeout(ADMISSION_WAIT, self.admission.admit(url.target())).await.ok()?;
        Some(Admitted::new(self, url, permit))
    }

    /// Returns how many requests are under way.
    pub fn under_way(&self) -> usize {
        self.admission.admitted()
    }

    /// Sends a POST to `url`, if the policy allows it. The caller bounds the time and reads the body of the answer.
    async fn send(
        &self,
        url: &EndpointUrl,
        headers: HeaderMap,
        body: Bytes,
        keep_alive: bool,
    ) -> Result<reqwest::Response, AttemptError> {
        let address_policy = self.policy.at_port(url.port());
        // The connector dials a literal address without asking the resolver, so the address is checked here.
        if url.literal_address().is_some_and(|ip| !address_policy.allows(ip)) {
            return Err(AttemptError::ForbiddenAddress);
        }
        let mut request = Request::new(Method::POST, url.as_url().clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        let public_only = self.public_only.as_ref().filter(|_| address_policy == EndpointPolicy::Strict);
        public_only.unwrap_or(&self.transport).send(request, keep_alive).await
    }

    /// Makes one POST. `timeout` bounds the whole of it, the wait for admission included.
    pub async fn post(&self, url: &EndpointUrl, headers: HeaderMap, body: Bytes, timeout: Duration) -> Answer {
        let started = Instant::now();
        match tokio::time::timeout(timeout, self.admission.admit(url.target())).await {
            Ok(permit) => {
                let left = timeout.saturating_sub(started.elapsed());
                Admitted::new(self, url, permit).post(headers, body, left).await
            }
            Err(_) => Answer { error: Some(AttemptError::Timeout), ..Answer::default() },
        }
    }
}

impl<'a> Admitted<'a> {
    fn new(client: &'a EndpointClient, url: &'a EndpointUrl, permit: Permit) -> Self {
        Self { client, url, permit, bytes_sent: AtomicU64::new(0) }
    }

    /// Returns the bytes of the requests that were sent so far, heads and bodies, in the form of HTTP/1.1. A request whose time
    /// was up counts as sent, because nobody knows how far it got. One that ended before its connection was made does not count.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    /// Sends a request, and counts its bytes.
    async fn send(
        &self,
        url: &EndpointUrl,
        headers: HeaderMap,
        body: Bytes,
        keep_alive: bool,
    ) -> Result<reqwest::Response, AttemptError> {
        let bytes = request_bytes(url, &headers, body.len());
        // Counted before, because a timeout drops this future.
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        let sent = self.client.send(url, headers, body, keep_alive).await;
        if sent.as_ref().is_err_and(|error| !error::has_connected(*error)) {
            self.bytes_sent.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }

    /// Makes the POST. `timeout` bounds the whole of it: DNS, connect, TLS, headers and body.
    ///
    /// The caller sets the headers. The client adds only `host`, `content-length` and `accept: */*`. It asks for no content
    /// coding and decodes none: a compressed body is read as plain bytes, so it cannot expand.
    pub async fn post(&self, headers: HeaderMap, body: Bytes, timeout: Duration) -> Answer {
        let mut progress = Progress::default();
        let outcome = tokio::time::timeout(timeout, self.exchange(headers, body, &mut progress)).await;
        let Progress { status, retry_after, excerpt } = progress;
        let error = outcome.unwrap_or(Err(AttemptError::Timeout)).err();
        Answer { status, error, body_excerpt: excerpt.into_text(), retry_after }
    }

    /// Makes a POST to another URL, such as that of an access token, in place of this request. `timeout` bounds the whole of it.
    /// It passes the same guard. Its connection is not kept alive, because such requests are rare.
    ///
    /// # Errors
    /// There is no complete answer, or its body has more than 64 KiB.
    pub async fn post_instead(
        &self,
        url: &EndpointUrl,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<WholeAnswer, AttemptError> {
        let exchange = async {
            let mut response = self.send(url, headers, body, false).await?;
            let (status, mut body) = (response.status().as_u16(), BytesMut::new());
            while let Some(chunk) = response.chunk().await.map_err(|error| error::classify(&error))? {
                if body.len() + chunk.len() > MAX_BODY_BYTES {
                    return Err(AttemptError::Protocol);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(WholeAnswer { status, body: body.freeze() })
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(AttemptError::Timeout))
    }

    async fn exchange(&self, headers: HeaderMap, body: Bytes, progress: &mut Progress) -> Result<(), AttemptError> {
        let mut response = self.send(self.url, headers, body, self.permit.keep_alive).await?;
        progress.status = Some(response.status().as_u16());
        progress.retry_after = RetryAfter::from_headers(response.headers());

        let mut body_bytes: usize = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| error::classify(&error))? {
            progress.excerpt.push(&chunk);
            body_bytes = body_bytes.saturating_add(chunk.len());
            if body_bytes > MAX_BODY_BYTES {
                // Dropping the response ends its connection (HTTP/1) or its stream (HTTP/2).
                break;
            }
        }
        Ok(())
    }
}

/// Returns the bytes of a POST in the form of HTTP/1.1: its head, with the headers that the client adds, and its body.
fn request_bytes(url: &EndpointUrl, headers: &HeaderMap, body_bytes: usize) -> u64 {
    let url = url.as_url();
    let target = url.path().len() + url.query().map_or(0, |query| "?".len() + query.len());
    let host = url.host_str().map_or(0, str::len) + url.port().map_or(0, |port| format!(":{port}").len());
    let line = |name: &str, value_bytes: usize| name.len() + ": ".len() + value_bytes + "\r\n".len();
    let callers = headers.iter().map(|(name, value)| line(name.as_str(), value.len())).sum::<usize>();
    let has_accept = headers.contains_key(header::ACCEPT);
    let accept = if has_accept { 0 } else { line("accept", "*/*".len()) };
    let added = accept + line("host", host) + line("content-length", body_bytes.to_string().len());
    let first_line = "POST  HTTP/1.1\r\n".len() + target;
    (first_line + callers + added + "\r\n".len() + body_bytes) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::{Receiver, read_request};
    use http::HeaderValue;
    use tokio::io::AsyncWriteExt;

    /// Posts to `url` with some headers. Returns the status code and the bytes that count as sent.
    async fn sent(url: &str, accept: Option<&'static str>) -> (Option<u16>, u64) {
        let client = EndpointClient::new(EndpointPolicy::AllowLoopback).expect("a client");
        let url = EndpointUrl::stored(url).expect("a URL");
        let admitted = client.admit(&url).await.expect("admitted");
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static("evt_1"));
        headers.extend(accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept))));
        let answer = admitted.post(headers, Bytes::from_static(b"{\"a\":1}"), Duration::from_millis(500)).await;
        (answer.status, admitted.bytes_sent())
    }

    #[tokio::test]
    async fn the_bytes_of_a_request_are_those_that_arrive() {
        // The status code is the number of bytes that arrived, and 200 more.
        let receiver = Receiver::start(|_, mut stream| async move {
            let request = read_request(&mut stream).await.unwrap_or_default();
            let answer = format!("HTTP/1.1 {} OK\r\ncontent-length: 0\r\n\r\n", 200 + request.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        for path in ["", "/", "/hook", "/hook?a=b", "/hook?"] {
            for accept in [None, Some("application/json")] {
                let (arrived, counted) = sent(&format!("http://{}{path}", receiver.address), accept).await;
                assert_eq!(arrived.map(u64::from), Some(200 + counted), "{path} {accept:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_request_without_a_connection_sends_nothing_and_one_without_an_answer_counts() {
        let closed = Receiver::start(|_, stream| async move { drop(stream) }).await;
        assert!(sent(&format!("http://{}/", closed.address), None).await.1 > 0);
        let silent = Receiver::start(|_, stream| async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(stream);
        })
        .await;
        assert!(sent(&format!("http://{}/", silent.address), None).await.1 > 0);
        assert_eq!(sent("http://127.0.0.1:1/", None).await, (None, 0), "nobody listens");
        assert_eq!(sent("http://10.0.0.1/", None).await, (None, 0), "the address is forbidden");
    }
}
