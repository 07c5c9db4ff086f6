//! Signatures: ask why those of a received request hold or do not hold.

use super::{Answer, Client, Error, call::Call, operation};
use domain::id::WebhookId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// A request as a receiver got it.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct ReceivedRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_id: Option<WebhookId>,
    /// The headers, by name.
    pub(crate) headers: BTreeMap<String, HeaderValues>,
    /// The body, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    /// The body in base64, otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) received_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) computed: Option<String>,
}

/// Shows neither the secret nor what the request carried.
impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest").field("webhook_id", &self.webhook_id).finish_non_exhaustive()
    }
}

/// The values of a header.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(untagged)]
pub(crate) enum HeaderValues {
    One(String),
    Several(Vec<String>),
}

/// What was found.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SignatureDiagnosis {
    /// Whether every signature holds.
    pub(crate) valid: bool,
    pub(crate) findings: Vec<SignatureFinding>,
}

/// What is known about one signature.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SignatureFinding {
    pub(crate) code: String,
    /// The header with the signature, or `computed`.
    pub(crate) header: String,
    pub(crate) detail: String,
}

impl Client {
    /// Asks why the signatures of a request hold or do not hold.
    pub(crate) async fn debug_signatures(&self, body: &ReceivedRequest) -> Result<Answer<SignatureDiagnosis>, Error> {
        self.call(Call::new(operation::DEBUG_SIGNATURES).body(body)).await
    }
}
