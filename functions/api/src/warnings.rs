//! The answer to a published event that does not fit the schema of its type: the event, with warnings beside its members.

use crate::problem::DocumentError;
use bytes::Bytes;
use domain::input::{Fault, OBJECT_POINTER};

/// The event as it will be delivered. If it does not fit the schema of its type, the answer has warnings too.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct PublishedEvent {
    #[serde(flatten)]
    event: domain::event::Payload<'static>,
    /// What does not fit the schema of the event's type, if the type's `validation` is `warn`. Missing if everything fits. The
    /// warnings are part of this answer alone, not of the event that is stored and delivered.
    #[schema(nullable = false)]
    warnings: Option<Vec<DocumentError<'static>>>,
}

/// Adds the member `warnings` to a payload, if there are any. They are relative to the event's object.
pub(crate) fn with_warnings(payload: Bytes, warnings: &[Fault]) -> Bytes {
    let Some(members) = payload.strip_suffix(b"}").filter(|_| !warnings.is_empty()) else { return payload };
    let in_body = |fault: &Fault| Fault { pointer: format!("{OBJECT_POINTER}{}", fault.pointer), ..fault.clone() };
    let in_body: Vec<_> = warnings.iter().map(in_body).collect();
    let warnings: Vec<_> = in_body.iter().map(DocumentError::from).collect();
    let warnings = serde_json::to_vec(&warnings).expect("warnings are strings");
    [members, b",\"warnings\":", &warnings, b"}"].concat().into()
}
