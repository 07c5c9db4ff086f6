//! TLS that trusts the root certificates in the file that `SSL_CERT_FILE` names.
//!
//! reqwest could read that file itself, but would spend nearly half of the instructions of a cold start on it (ADR 15).

use super::error::BuildError;
use aws_smithy_types::base64; // the SDK's decoder, which decodes many bytes at once
use bstr::io::BufReadExt;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    sync::Arc,
};

/// The protocols to offer, in order of preference.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Returns a TLS configuration (1.2 and 1.3) that trusts the certificates in `file` (PEM).
///
/// # Errors
/// The file cannot be read, or has no usable certificate.
pub(super) fn tls_trusting(file: &Path) -> Result<ClientConfig, BuildError> {
    let opened = File::open(file).map_err(|error| BuildError::roots(file, error))?;
    let roots = read(BufReader::new(opened)).map_err(|error| BuildError::roots(file, error))?;
    if roots.is_empty() {
        return Err(BuildError::roots(file, "the file has no usable certificate"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// Reads the certificates in a PEM text (RFC 7468), and skips everything else. It also skips certificates that cannot be used,
/// as reqwest does with those of the system.
fn read(mut text: impl BufRead) -> io::Result<RootCertStore> {
    let (mut roots, mut base64) = (RootCertStore::empty(), Vec::new());
    text.for_byte_line(|line| {
        match line.trim_ascii() {
            b"-----END CERTIFICATE-----" => {
                let certificate = str::from_utf8(&base64).ok().and_then(|base64| base64::decode(base64).ok());
                roots.add_parsable_certificates(certificate.map(Into::into));
            }
            boundary if boundary.starts_with(b"-----") => base64.clear(),
            part => base64.extend_from_slice(part),
        }
        Ok(true)
    })?;
    Ok(roots)
}
