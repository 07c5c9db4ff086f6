//! Judging a saved request without the network, with the secrets that the user gives.

use super::{SavedRequest, Verify};
use crate::usage::UsageError;
use domain::{
    diagnosis::{Code, Diagnosis, Evidence, GivenSecret, Received, diagnose},
    time::Timestamp,
};

/// Judges the request.
///
/// # Errors
/// An option or the file is wrong, or the request has no signature.
pub(super) fn judge(verify: &Verify, request: SavedRequest) -> Result<Diagnosis, UsageError> {
    let given = verify.secrets.iter().map(|text| GivenSecret::parse(text)).collect::<Result<Vec<_>, _>>();
    let given = given.map_err(|fault| UsageError::new(format!("--secret {fault}")))?;
    let at = verify.received_at.as_ref().map(|moment| Timestamp::parse_rfc3339(&moment.0)).transpose();
    let at = at.map_err(|fault| UsageError::new(format!("--received-at {fault}")))?;
    let (headers, body) = request.into_parts().map_err(|fault| UsageError::new(format!("the headers {fault}")))?;
    let received = Received { headers, body, at, computed: verify.computed.clone() };
    let diagnosis = diagnose(&received, &Evidence { given, ..Evidence::default() });
    if diagnosis.findings.iter().any(|finding| finding.code == Code::SignatureMissing) {
        let message = "the request has neither webhook-signature nor X-Webhook-Signature: give them with --header";
        return Err(UsageError::new(message));
    }
    Ok(diagnosis)
}
