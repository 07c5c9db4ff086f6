//! The custom event types that this process has found lately.

use domain::{
    event_type::{CUSTOM_TYPES_MAX, EventType},
    time::Timestamp,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a process remembers that it found a custom type. All custom types are in one partition. If every publication read
/// them, that partition would limit the publishing of the whole deployment.
const FOUND_KEPT: Duration = Duration::from_secs(30);

/// The custom types that this process has found lately, each with the time until which it is remembered. A type that was not
/// found is looked up each time, so that a new one works at once. Clones share the types.
#[derive(Clone, Debug, Default)]
pub struct FoundTypes(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    until: HashMap<EventType, Timestamp>,
    /// Counts the deletions by this process. A type that was read before a deletion may be the one that it deleted.
    deletions: u64,
}

impl FoundTypes {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many types this process has deleted.
    pub(crate) fn deletions(&self) -> u64 {
        self.lock().deletions
    }

    /// Whether the type was found lately.
    pub(crate) fn has(&self, name: &EventType, now: Timestamp) -> bool {
        self.lock().until.get(name).is_some_and(|until| now < *until)
    }

    /// Remembers a type that was found by a read begun at `read_at`, unless this process has deleted a type since its deletions
    /// were `deletions`.
    pub(crate) fn keep(&self, name: &EventType, read_at: Timestamp, deletions: u64) {
        let mut found = self.lock();
        if found.deletions == deletions {
            if found.until.len() >= CUSTOM_TYPES_MAX {
                found.until.clear();
            }
            found.until.insert(name.clone(), read_at.plus(FOUND_KEPT));
        }
    }

    /// Forgets a type that this process deletes.
    pub(crate) fn forget(&self, name: &EventType) {
        let mut found = self.lock();
        found.deletions += 1;
        found.until.remove(name);
    }
}
