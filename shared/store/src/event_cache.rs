//! A cache of the events that this process has read lately. An event never changes, so one read is enough for all its webhooks
//! and for the attempts that follow soon.

use domain::{account::AccountId, event::Event, id::EventId};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, PoisonError},
};

/// The most payload bytes that are kept.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most events that are kept, because each takes memory beside its payload.
const EVENTS_MAX: usize = 4096;

/// A bounded cache of events. The oldest entry makes room for a new one.
#[derive(Default)]
pub struct EventCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    events: HashMap<(AccountId, EventId), Event>,
    order: VecDeque<(AccountId, EventId)>,
    bytes: usize,
}

impl EventCache {
    /// Returns the event if it was read lately. It may have expired since.
    pub fn get(&self, account: &AccountId, id: EventId) -> Option<Event> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.events.get(&(account.clone(), id)).cloned()
    }

    /// Keeps an event that was read.
    pub fn keep(&self, event: &Event) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (event.account.clone(), event.id);
        if event.payload.len() > BYTES_MAX || entries.events.contains_key(&key) {
            return;
        }
        entries.bytes += event.payload.len();
        entries.order.push_back(key.clone());
        entries.events.insert(key, event.clone());
        while entries.bytes > BYTES_MAX || entries.events.len() > EVENTS_MAX {
            let Some(oldest) = entries.order.pop_front() else { return };
            let dropped = entries.events.remove(&oldest).map_or(0, |event| event.payload.len());
            entries.bytes -= dropped;
        }
    }
}

impl fmt::Debug for EventCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Timestamp;

    fn event(number: u32, bytes: usize) -> Event {
        let id = EventId::derived(Timestamp::EPOCH, &number.to_be_bytes());
        let event_type = "user.created".parse().expect("valid");
        Event {
            account: "acme".parse().expect("valid"),
            id,
            event_type,
            payload: vec![b'x'; bytes].into(),
            test: false,
            trace: None,
        }
    }

    #[test]
    fn the_oldest_event_is_dropped_first_and_accounts_are_separate() {
        let cache = EventCache::default();
        let kib = 1024;
        for number in 0..40 {
            cache.keep(&event(number, 256 * kib));
            cache.keep(&event(number, 256 * kib));
        }
        let acme = "acme".parse().expect("valid");
        let kept = (0..40).filter(|number| cache.get(&acme, event(*number, 0).id).is_some()).collect::<Vec<_>>();
        assert_eq!(kept, (8..40).collect::<Vec<_>>(), "8 MiB in events of 256 KiB");
        assert!(cache.get(&"globex".parse().expect("valid"), event(39, 0).id).is_none());
    }
}
