//! The one HTTP client for receivers: one guarded POST, bounded in time and in bytes, that cannot fail otherwise than by
//! saying what happened.

use super::{
    admission::{Admission, Bounds, Permit},
    error::{BuildError, PostError},
    excerpt::Excerpt,
    resolver::JudgingResolver,
    retry_after::RetryAfter,
    roots::tls_believing,
    transport::{Clients, Transport},
    url::{EndpointPolicy, EndpointUrl},
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::Request;
use std::{path::Path, time::Duration};
use tokio::time::Instant;

/// The most bytes of a body that are read; then the connection is dropped.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// How long a connection is kept for the next request. Node.js and Apache close an idle connection after 5 s, others
/// later: a connection that the receiver is about to close, or that died unseen while Lambda had this process frozen, is
/// not written to. The pool compares the time when it hands a connection out, so one that sat through a freeze is not used.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a request waits for its admission before whoever wants to make it is told to come back: what is in the way
/// is over within a few hundred milliseconds, or hangs. With the times in `aws/mod.rs` it fits into a function's 30 s.
const ADMISSION_WAIT: Duration = Duration::from_secs(2);

/// Bounds a connection attempt that outlives the request that began it (the pool goes on with it for the next one).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a receiver may send ahead of being read, per request and per connection: HTTP/2's own default, not hyper's 2 MiB.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// The most response headers over HTTP/1 (hyper bounds their bytes to about 400 KiB); HTTP/2 is bounded by the bytes.
const HTTP1_MAX_HEADERS: usize = 128;
const HTTP2_MAX_HEADER_LIST_BYTES: u32 = 32 * 1024;

/// What came back from a receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code, as soon as the headers came; there may be an error nonetheless, which then counts.
    pub status: Option<u16>,
    /// Why there is no whole answer.
    pub error: Option<PostError>,
    /// The beginning of the body: at most 1 KiB of text without control characters other than line breaks and tabs.
    pub body_excerpt: Option<String>,
    /// When the receiver asks to be tried again, unclamped.
    pub retry_after: Option<RetryAfter>,
}

/// Posts to receivers under one policy. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct EndpointClient {
    policy: EndpointPolicy,
    admission: Admission,
    transport: Transport,
    /// For requests to the port of Lambda's runtime API, where the policy has one: only public addresses.
    public_only: Option<Transport>,
}

/// The right to make one request, with the place that it has among all that are under way.
#[derive(Debug)]
pub struct Admitted<'a> {
    client: &'a EndpointClient,
    url: &'a EndpointUrl,
    permit: Permit,
}

/// What is known of an answer so far: it survives a timeout.
#[derive(Default)]
struct Progress {
    status: Option<u16>,
    retry_after: Option<RetryAfter>,
    excerpt: Excerpt,
}

impl EndpointClient {
    /// Makes the client, which believes the root certificates in the file that `SSL_CERT_FILE` names, or else the system's.
    /// It reads them, so make one client a process.
    ///
    /// # Errors
    /// TLS cannot be set up, for want of root certificates for example.
    pub fn new(policy: EndpointPolicy) -> Result<Self, BuildError> {
        Self::bounded(policy, Bounds::default())
    }

    /// The same with other bounds on what is open at once.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn bounded(policy: EndpointPolicy, bounds: Bounds) -> Result<Self, BuildError> {
        let roots = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty());
        let client =
            Self::with(policy, JudgingResolver::system(policy, bounds.look_ups), roots.as_ref().map(Path::new))?;
        Ok(Self { admission: Admission::new(bounds), ..client })
    }

    /// A client that looks names up by `look_up`, which may block.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[cfg(feature = "simulation")]
    pub fn looking_up(
        policy: EndpointPolicy,
        look_up: impl Fn(&str) -> std::io::Result<Vec<std::net::SocketAddr>> + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        Self::with(policy, JudgingResolver::blocking(policy, Bounds::default().look_ups, look_up), None)
    }

    /// A client that asks `resolver` for addresses, and believes the root certificates in the file `roots`.
    pub(super) fn with(
        policy: EndpointPolicy,
        resolver: JudgingResolver,
        roots: Option<&Path>,
    ) -> Result<Self, BuildError> {
        let tls = roots.map(tls_believing).transpose()?;
        let network = |addresses| {
            let (resolver, tls) = (resolver.judging_by(addresses), tls.clone());
            let clients = Clients::new(move |idle_per_host_max| {
                let builder = Self::builder(policy, resolver.clone()).pool_max_idle_per_host(idle_per_host_max);
                let builder = match &tls {
                    Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
                    // Elsewhere than on Lambda it is a folder, or a service of the system.
                    None => builder.tls_version_min(reqwest::tls::Version::TLS_1_2),
                };
                Ok(builder.build()?)
            });
            clients.map(Transport::Network)
        };
        let (elsewhere, has_forbidden_port) = match policy {
            EndpointPolicy::AllowLoopbackExcept(_) => (EndpointPolicy::AllowLoopback, true),
            EndpointPolicy::Strict | EndpointPolicy::AllowLoopback => (policy, false),
        };
        let public_only = has_forbidden_port.then(|| network(EndpointPolicy::Strict)).transpose()?;
        let admission = Admission::new(Bounds::default());
        Ok(Self { policy, admission, transport: network(elsewhere)?, public_only })
    }

    #[allow(clippy::disallowed_methods, reason = "the one place where an outgoing client is made, behind the guard")]
    fn builder(policy: EndpointPolicy, resolver: JudgingResolver) -> reqwest::ClientBuilder {
        // No retry policy is set, on purpose. What is resent by default is only what cannot have been seen:
        // - hyper-util sends again a request that it took back unwritten, because a pooled connection turned out closed;
        // - reqwest sends again, at most twice, what an HTTP/2 receiver declared unprocessed (RFC 9113, section 8.7: a
        //   GOAWAY without error for a lower stream, or REFUSED_STREAM), which is how such a receiver ends an idle or
        //   long-used connection. `retry::never()` would make each of these a failed attempt.
        // A request of which a byte was written to HTTP/1 is never sent again: that is `PostError::Closed`, and the
        // delivery's own schedule decides.
        reqwest::Client::builder()
            .dns_resolver(resolver)
            .https_only(policy == EndpointPolicy::Strict)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy() // a proxy from the environment would dial in our place, unjudged
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .http1_max_headers(HTTP1_MAX_HEADERS)
            .http2_max_header_list_size(HTTP2_MAX_HEADER_LIST_BYTES)
            .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
    }

    /// A client whose requests go to `receive` in this process instead of to the network, once they have passed the same
    /// guard; names have the addresses that `look_up` says.
    #[cfg(feature = "simulation")]
    pub fn in_process(
        policy: EndpointPolicy,
        look_up: impl Fn(&str) -> std::io::Result<Vec<std::net::SocketAddr>> + Send + Sync + 'static,
        receive: super::Receive,
    ) -> Self {
        let resolver = JudgingResolver::scripted(policy, look_up);
        let admission = Admission::new(Bounds::default());
        Self { policy, admission, transport: Transport::InProcess { resolver, receive }, public_only: None }
    }

    /// Asks for one POST to `url` to be admitted: there are bounds on requests under way to one host and port, and in all.
    /// To be asked before a lease is taken, since waiting would use it up; waits up to 2 s. `None` says that the work is to
    /// be given back and to come again later.
    pub async fn admit<'a>(&'a self, url: &'a EndpointUrl) -> Option<Admitted<'a>> {
        let permit = tokio::time::timeout(ADMISSION_WAIT, self.admission.admit(url.target())).await.ok()?;
        Some(Admitted { client: self, url, permit })
    }

    /// One POST, admitted and made within `timeout` all told.
    pub async fn post(&self, url: &EndpointUrl, headers: HeaderMap, body: Bytes, timeout: Duration) -> Answer {
        let started = Instant::now();
        match tokio::time::timeout(timeout, self.admission.admit(url.target())).await {
            Ok(permit) => {
                let left = timeout.saturating_sub(started.elapsed());
                Admitted { client: self, url, permit }.post(headers, body, left).await
            }
            Err(_) => Answer { error: Some(PostError::Timeout), ..Answer::default() },
        }
    }
}

impl Admitted<'_> {
    /// The POST, within `timeout` all told: DNS, connect, TLS, headers and body.
    ///
    /// The caller sets the headers; added are only `host`, `content-length` and `accept: */*`. No content coding is asked
    /// for and none is undone: a compressed body is bytes like any other, so it cannot expand.
    pub async fn post(self, headers: HeaderMap, body: Bytes, timeout: Duration) -> Answer {
        let mut progress = Progress::default();
        let outcome = tokio::time::timeout(timeout, self.exchange(headers, body, &mut progress)).await;
        let Progress { status, retry_after, excerpt } = progress;
        let error = outcome.unwrap_or(Err(PostError::Timeout)).err();
        Answer { status, error, body_excerpt: excerpt.into_text(), retry_after }
    }

    async fn exchange(&self, headers: HeaderMap, body: Bytes, progress: &mut Progress) -> Result<(), PostError> {
        let Self { client, url, permit } = self;
        let addresses = client.policy.at_port(url.port());
        // The connector asks no resolver for a literal address, so it is judged here.
        if url.literal_address().is_some_and(|ip| !addresses.allows(ip)) {
            return Err(PostError::ForbiddenAddress);
        }
        let mut request = Request::new(Method::POST, url.as_url().clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        let public_only = client.public_only.as_ref().filter(|_| addresses == EndpointPolicy::Strict);
        let transport = public_only.unwrap_or(&client.transport);
        let mut response = transport.send(request, permit.keeps).await?;
        progress.status = Some(response.status().as_u16());
        progress.retry_after = RetryAfter::from_headers(response.headers());

        let mut body_bytes: usize = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| PostError::from(&error))? {
            progress.excerpt.push(&chunk);
            body_bytes = body_bytes.saturating_add(chunk.len());
            if body_bytes > MAX_BODY_BYTES {
                // The rest is not wanted: dropping the response ends its connection (HTTP/1) or stream (HTTP/2).
                break;
            }
        }
        Ok(())
    }
}
