//! The signature debugger: whether the signatures of a received request hold and, if not, what happened.
//!
//! A diagnosis is never a guess. It is given only if a candidate reproduces the signature, or turns the stored body into the received
//! one, to the byte. Nothing here does I/O, and no finding contains a secret or a signature.
//!
//! | file | holds |
//! |---|---|
//! | `code.rs` | the codes of findings |
//! | `received.rs` | the request as the receiver saw it, and the body that describes it |
//! | `evidence.rs` | what is known beside it: secrets, the stored event, recorded attempts |
//! | `judge.rs` | judges each signature of a request |
//! | `computed.rs` | judges what the receiver's own code computed |
//! | `search.rs` | the bounded search for what a signature was made of |
//! | `bodies.rs`, `contents.rs`, `keys.rs`, `forms.rs` | the candidates: bodies, the text around them, keys, and how a signature is written |
//! | `compare.rs` | the received body beside the stored one |
//! | `json.rs`, `numbers.rs`, `encodings.rs` | JSON and numbers as other programs write them; character encodings, gzip, base64 |
//! | `change.rs` | what happened to a part, with its name |

mod bodies;
mod change;
mod code;
mod compare;
mod computed;
mod contents;
mod encodings;
mod evidence;
mod forms;
mod json;
mod judge;
mod keys;
mod numbers;
mod received;
mod search;
#[cfg(test)]
mod tests;

pub use code::Code;
pub use contents::TOLERANCE;
pub use evidence::Evidence;
pub use received::{
    COMPUTED_MAX, DiagnosisRequest, GivenSecret, HEADER_BYTES_MAX, HEADERS_MAX, Headers, REQUEST_BYTES_MAX, Received,
    SIGNATURES_MAX,
};
pub use search::{COMBINATIONS_MAX, HASHED_BYTES_MAX};

use judge::Judge;
use serde::Serialize;

/// The name that findings about `computed` have in the place of a header's.
pub const COMPUTED: &str = "computed";

/// Whether the signatures of a request hold, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SignatureDiagnosis))]
pub struct Diagnosis {
    /// Whether the request has a signature, and each header with signatures holds. `webhook-signature` holds if one of its entries does.
    /// What `computed` is does not matter.
    pub valid: bool,
    /// What was found: one or more findings for each signature.
    pub findings: Vec<Finding>,
}

/// What is known about a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SignatureFinding))]
pub struct Finding {
    /// What it says, for programs.
    pub code: Code,
    /// The header with the signature, in lower case, or `computed`.
    pub header: String,
    /// What it says, for people. The text may change.
    pub detail: String,
}

/// Judges every signature of a request, and what the receiver's code computed.
pub fn diagnose(received: &Received, evidence: &Evidence) -> Diagnosis {
    let mut judge = Judge::new(received, evidence);
    let mut valid = judge.signatures();
    if received.computed.is_some() {
        judge.computed();
    }
    valid &= judge.findings.iter().any(|finding| finding.code == Code::Valid && finding.header != COMPUTED);
    Diagnosis { valid, findings: judge.findings }
}
