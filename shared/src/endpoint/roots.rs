//! Whom receivers' certificates are believed from, where `SSL_CERT_FILE` names a file of root certificates.
//!
//! reqwest would read that file itself, with nearly half of the instructions of a cold start (ADR 15).

use super::error::BuildError;
use aws_smithy_types::base64; // the SDK's, which decodes many bytes at once
use bstr::io::BufReadExt;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    sync::Arc,
};

/// The protocols to offer, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS 1.2 and 1.3 with receivers whose certificates go back to one in `file` (PEM).
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(super) fn tls_believing(file: &Path) -> Result<ClientConfig, BuildError> {
    let opened = File::open(file).map_err(|error| BuildError::roots(file, error))?;
    let roots = read(BufReader::new(opened)).map_err(|error| BuildError::roots(file, error))?;
    if roots.is_empty() {
        return Err(BuildError::roots(file, "it holds no certificate"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// The certificates in a PEM text (RFC 7468), whatever else it holds. One that cannot be used is left out, as of the
/// system's own.
fn read(mut text: impl BufRead) -> io::Result<RootCertStore> {
    let (mut roots, mut base64) = (RootCertStore::empty(), Vec::new());
    text.for_byte_line(|line| {
        match line.trim_ascii() {
            b"-----END CERTIFICATE-----" => {
                let certificate = str::from_utf8(&base64).ok().and_then(|base64| base64::decode(base64).ok());
                roots.add_parsable_certificates(certificate.map(Into::into));
            }
            mark if mark.starts_with(b"-----") => base64.clear(),
            part => base64.extend_from_slice(part),
        }
        Ok(true)
    })?;
    Ok(roots)
}
