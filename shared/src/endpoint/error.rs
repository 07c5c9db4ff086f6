//! What can go wrong with a request to a receiver, as stable codes and as sentences; and how the HTTP stack's errors are
//! read. Nothing of a receiver's answer, a URL or a header gets into these.

use super::resolver::ForbiddenAnswer;
use std::{
    error::Error,
    io, iter,
    path::{Path, PathBuf},
};

/// Why an attempt got no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PostError {
    /// The time for the whole attempt was up: DNS, connect, TLS, headers and body.
    #[error("The receiver did not answer in time.")]
    Timeout,
    /// The name has no address, or the look-up failed.
    #[error("The host name could not be resolved.")]
    Dns,
    /// The host is, or has among its addresses, one that webhooks must not reach.
    #[error("The host has an address that webhooks must not reach.")]
    ForbiddenAddress,
    /// No TCP connection: refused, unreachable.
    #[error("No connection to the receiver could be made.")]
    Connect,
    /// The TLS handshake failed: no TLS on that port, or a certificate that is not trusted, expired or for another name.
    #[error("The TLS handshake failed: check that the receiver's certificate is valid for its host name.")]
    Tls,
    /// The receiver closed or reset the connection, or its HTTP/2 stream, before its answer was whole.
    #[error("The receiver broke off before its answer was complete.")]
    Closed,
    /// The receiver's answer is not HTTP, or breaks a limit on its headers.
    #[error("The receiver's answer is not valid HTTP.")]
    Protocol,
    /// The URL cannot be posted to under this policy: `http` where only `https` is allowed.
    #[error("The URL cannot be used under the endpoint policy.")]
    UnsupportedUrl,
}

impl PostError {
    /// The stable code of this error, in lowercase.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::UnsupportedUrl => "unsupported_url",
        }
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No usable root certificates on this machine, or no TLS.
    #[error("the HTTP client for endpoints could not be made")]
    Client(#[from] reqwest::Error),
    /// TLS does not work at all.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
    /// `SSL_CERT_FILE` names a file that is of no use.
    #[error("SSL_CERT_FILE {}: {fault}", file.display())]
    Roots {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

impl BuildError {
    pub(super) fn roots(file: &Path, fault: impl ToString) -> Self {
        Self::Roots { file: file.to_owned(), fault: fault.to_string() }
    }
}

impl From<&reqwest::Error> for PostError {
    fn from(error: &reqwest::Error) -> Self {
        if sources(error).any(<dyn Error>::is::<ForbiddenAnswer>) {
            Self::ForbiddenAddress
        } else if error.is_builder() {
            Self::UnsupportedUrl
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_dns() {
            Self::Dns
        } else if error.is_connect() {
            if failed_in_handshake(error) { Self::Tls } else { Self::Connect }
        } else {
            after_connect(error)
        }
    }
}

/// Every cause below `error`, the nearest first.
fn sources<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(error.source(), |&source| source.source())
}

/// While connecting: hyper-util wraps DNS's and TCP's failures in an error of its own, and hyper-rustls puts the
/// handshake's as a bare I/O error right below the client's.
fn failed_in_handshake(error: &reqwest::Error) -> bool {
    sources(error).nth(1).is_some_and(<dyn Error>::is::<io::Error>)
}

/// What is left is bad HTTP where the stack says so, and otherwise the receiver's end of the connection or the stream.
fn after_connect(error: &reqwest::Error) -> PostError {
    match sources(error).find_map(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind) {
        // rustls reports a peer's late alert so: with TLS 1.3 a refused handshake may show only at the first read.
        Some(io::ErrorKind::InvalidData) if error.is_request() => PostError::Tls,
        // A chunked body that is none.
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => PostError::Protocol,
        Some(_) => PostError::Closed,
        None => {
            let mut causes = sources(error).filter_map(|source| source.downcast_ref::<hyper::Error>());
            let is_bad_http = causes.any(hyper::Error::is_parse);
            if is_bad_http { PostError::Protocol } else { PostError::Closed }
        }
    }
}
