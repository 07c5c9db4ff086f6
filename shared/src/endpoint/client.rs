//! The one HTTP client for receivers: one guarded POST, bounded in time and in bytes, that cannot fail otherwise than by
//! saying what happened.

use super::{
    error::{BuildError, PostError},
    excerpt::Excerpt,
    resolver::JudgingResolver,
    retry_after::RetryAfter,
    roots::tls_believing,
    transport::Transport,
    url::{EndpointPolicy, EndpointUrl},
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::Request;
use std::{path::Path, time::Duration};

/// The most bytes of a body that are read; then the connection is dropped.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// How long a connection is kept for the next request. Node.js and Apache close an idle connection after 5 s, others
/// later: a connection that the receiver is about to close, or that died unseen while Lambda had this process frozen, is
/// not written to. The pool compares the time when it hands a connection out, so one that sat through a freeze is not used.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Connections kept for one receiver: as many as a burst to it uses at once.
const POOL_MAX_IDLE_PER_HOST: usize = 64;

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
    transport: Transport,
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
        let roots = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty());
        Self::with(policy, JudgingResolver::system(policy), roots.as_ref().map(Path::new))
    }

    /// A client that asks `resolver` for addresses, and believes the root certificates in the file `roots`.
    pub(super) fn with(
        policy: EndpointPolicy,
        resolver: JudgingResolver,
        roots: Option<&Path>,
    ) -> Result<Self, BuildError> {
        let builder = Self::builder(policy, resolver);
        let builder = match roots {
            Some(file) => builder.tls_backend_preconfigured(tls_believing(file)?),
            // Elsewhere than on Lambda it is a folder, or a service of the system.
            None => builder.tls_version_min(reqwest::tls::Version::TLS_1_2),
        };
        Ok(Self { policy, transport: Transport::Network(builder.build()?) })
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
            .pool_max_idle_per_host(POOL_MAX_IDLE_PER_HOST)
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
        Self { policy, transport: Transport::InProcess { resolver, receive } }
    }

    /// One POST, within `timeout` all told: DNS, connect, TLS, headers and body.
    ///
    /// The caller sets the headers; added are only `host`, `content-length` and `accept: */*`. No content coding is asked
    /// for and none is undone: a compressed body is bytes like any other, so it cannot expand.
    pub async fn post(&self, url: &EndpointUrl, headers: HeaderMap, body: Bytes, timeout: Duration) -> Answer {
        let mut progress = Progress::default();
        let outcome = tokio::time::timeout(timeout, self.exchange(url, headers, body, &mut progress)).await;
        let Progress { status, retry_after, excerpt } = progress;
        let error = outcome.unwrap_or(Err(PostError::Timeout)).err();
        Answer { status, error, body_excerpt: excerpt.into_text(), retry_after }
    }

    async fn exchange(
        &self,
        url: &EndpointUrl,
        headers: HeaderMap,
        body: Bytes,
        progress: &mut Progress,
    ) -> Result<(), PostError> {
        // The connector asks no resolver for a literal address, so it is judged here.
        if url.literal_address().is_some_and(|ip| !self.policy.allows(ip)) {
            return Err(PostError::ForbiddenAddress);
        }
        let mut request = Request::new(Method::POST, url.as_url().clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        let mut response = self.transport.send(request).await?;
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
