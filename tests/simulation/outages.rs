//! AWS calls that fail for several seconds, longer than the SDK retries.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::faults::Kind;

/// The calls that fail now, in every process: how, and until when.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<BTreeMap<String, (Kind, i64)>>);

impl Outages {
    /// Makes `call` fail until `until_ms`.
    pub(crate) fn begin(&self, call: String, kind: Kind, until_ms: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(call, (kind, until_ms));
    }

    /// Returns how `call` fails now, if it does.
    pub(crate) fn active(&self, call: &str, now_ms: i64) -> Option<Kind> {
        let outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outages.get(call).filter(|(_, until_ms)| now_ms < *until_ms).map(|(kind, _)| *kind)
    }
}
