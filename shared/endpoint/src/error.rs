//! The errors of this crate, and the classification of the HTTP stack's errors as [`AttemptError`]s. No error contains any
//! part of a receiver's answer, a URL or a header.

use super::resolver::ForbiddenAnswer;
use domain::delivery::AttemptError;
use std::{
    error::Error,
    io, iter,
    path::{Path, PathBuf},
};

/// Why the client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The machine has no usable root certificates, or TLS does not work.
    #[error("the HTTP client for endpoints could not be created")]
    Client(#[from] reqwest::Error),
    /// The TLS library rejects its configuration.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
    /// `SSL_CERT_FILE` names a file that cannot be used.
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

/// Returns the code for an error of the HTTP client.
pub(crate) fn classify(error: &reqwest::Error) -> AttemptError {
    if sources(error).any(<dyn Error>::is::<ForbiddenAnswer>) {
        AttemptError::ForbiddenAddress
    } else if error.is_builder() {
        AttemptError::UnsupportedUrl
    } else if error.is_timeout() {
        AttemptError::Timeout
    } else if error.is_dns() {
        AttemptError::Dns
    } else if error.is_connect() {
        if failed_in_handshake(error) { AttemptError::Tls } else { AttemptError::Connect }
    } else {
        after_connect(error)
    }
}

/// Whether a request that failed with `error` had a connection, so that some of it may have been sent.
pub(crate) fn has_connected(error: AttemptError) -> bool {
    match error {
        AttemptError::Timeout | AttemptError::Closed | AttemptError::Protocol => true,
        AttemptError::Dns
        | AttemptError::ForbiddenAddress
        | AttemptError::Connect
        | AttemptError::Tls
        | AttemptError::UnsupportedUrl
        | AttemptError::Oauth => false,
    }
}

/// Returns all causes of `error`, the nearest first.
fn sources<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(error.source(), |&source| source.source())
}

/// Returns whether a failure to connect is a failed TLS handshake. hyper-rustls puts that as a bare I/O error right below the
/// client's error; hyper-util wraps failures of DNS and TCP in an error of its own.
fn failed_in_handshake(error: &reqwest::Error) -> bool {
    sources(error).nth(1).is_some_and(<dyn Error>::is::<io::Error>)
}

/// Returns the code for an error on an open connection. If it is neither TLS nor invalid HTTP, then the receiver ended the
/// connection or the stream.
fn after_connect(error: &reqwest::Error) -> AttemptError {
    match sources(error).find_map(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind) {
        // rustls reports a late alert of the peer: with TLS 1.3, a refused handshake may show only at the first read.
        Some(io::ErrorKind::InvalidData) if error.is_request() => AttemptError::Tls,
        // The chunked coding of the body is invalid.
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => AttemptError::Protocol,
        Some(_) => AttemptError::Closed,
        None => {
            let mut causes = sources(error).filter_map(|source| source.downcast_ref::<hyper::Error>());
            let is_bad_http = causes.any(hyper::Error::is_parse);
            if is_bad_http { AttemptError::Protocol } else { AttemptError::Closed }
        }
    }
}
