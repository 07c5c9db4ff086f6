//! The custom event types that this process has found lately.

use domain::{
    event_type::{CUSTOM_TYPES_MAX, EventType},
    schema::Judge,
    time::Timestamp,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A type that the catalogue has, as publishing needs it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Judges its events, if validation is on.
    pub judge: Option<Arc<Judge>>,
}

/// How long a process remembers that it found a custom type. All custom types are in one partition. If every publication read
/// them, that partition would limit the publishing of the whole deployment.
const FOUND_KEPT: Duration = Duration::from_secs(30);

/// The most bytes of the schemas of remembered types. A compiled schema takes some ten times its size.
const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// The custom types that this process has found lately, each with the time until which it is remembered. A type that was not
/// found is looked up each time, so that a new one works at once. Clones share the types.
#[derive(Clone, Debug, Default)]
pub struct FoundTypes(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    types: HashMap<EventType, (Known, Timestamp)>,
    /// The bytes of the schemas of `types`.
    schema_bytes: usize,
    /// Counts the changes by this process. A type that was read before a change may be the one that it replaced or deleted.
    changes: u64,
}

impl FoundTypes {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many types this process has replaced or deleted.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Returns the type if it was found lately.
    pub(crate) fn get(&self, name: &EventType, now: Timestamp) -> Option<Known> {
        self.lock().types.get(name).filter(|(_, until)| now < *until).map(|(known, _)| known.clone())
    }

    /// Remembers a type that was found by a read begun at `read_at`, unless this process has changed a type since its changes
    /// were `changes`. Returns the type, with the earlier judge if it judges in the same way: its schema is compiled already.
    pub(crate) fn keep(&self, name: &EventType, known: Known, read_at: Timestamp, changes: u64) -> Known {
        let mut found = self.lock();
        if found.changes != changes {
            return known;
        }
        let earlier = found.remove(name);
        let is_same = |earlier: &Known| match (&earlier.judge, &known.judge) {
            (Some(earlier), Some(judge)) => earlier.is_same(judge),
            _ => false,
        };
        let known = earlier.filter(is_same).unwrap_or(known);
        if found.types.len() >= CUSTOM_TYPES_MAX || found.schema_bytes + schema_len(&known) > SCHEMA_BYTES_MAX {
            found.types.clear();
            found.schema_bytes = 0;
        }
        found.schema_bytes += schema_len(&known);
        found.types.insert(name.clone(), (known.clone(), read_at.plus(FOUND_KEPT)));
        known
    }

    /// Forgets a type that this process replaces or deletes.
    pub(crate) fn forget(&self, name: &EventType) {
        let mut found = self.lock();
        found.changes += 1;
        found.remove(name);
    }
}

impl Found {
    fn remove(&mut self, name: &EventType) -> Option<Known> {
        let (known, _) = self.types.remove(name)?;
        self.schema_bytes -= schema_len(&known);
        Some(known)
    }
}

/// Returns the bytes of the schema that judges the events of a type.
fn schema_len(known: &Known) -> usize {
    known.judge.as_ref().map_or(0, |judge| judge.schema_len())
}
