//! Where every message of one queue stands: which can be received and in which order, and which wait and until when.
//!
//! Every step costs O(log n), so that a long backlog is received as fast as a short one. No I/O, no contents: a message
//! is its id here, and a moment is milliseconds since the Unix epoch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The most messages of one group that are in flight. SQS has no such limit, but it has no receiver either that handles all
/// of them in one process: a group whose messages hang would take every connection there is from the others. It is above
/// what an endpoint that hangs for 5 s at 50 events a second has under way.
const GROUP_IN_FLIGHT_MAX: usize = 256;

/// The moment from which a message can be received, then its id: the order within a group.
type Key = (i64, i64);

/// What can become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It can be received.
    Visible,
    /// Its delay is not over yet.
    Delayed,
    /// It has been received and not yet deleted.
    InFlight,
}

/// What the index knows of a message.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where it stands.
    pub(super) place: Place,
    /// When it becomes, or became, visible.
    pub(super) visible_ms: i64,
    /// How often it has been received.
    pub(super) receive_count: u32,
    /// Its message group; messages without one share the empty name.
    pub(super) group: Arc<str>,
}

/// How many messages stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) visible: usize,
    pub(super) delayed: usize,
    pub(super) in_flight: usize,
}

#[derive(Debug, Default)]
struct Group {
    visible: BTreeSet<Key>,
    in_flight: usize,
}

/// The messages of one queue.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<i64, Entry>,
    /// The messages that are not visible, by the moment when they become so.
    waiting: BTreeSet<Key>,
    groups: BTreeMap<Arc<str>, Group>,
    /// The groups with visible messages: fewest in flight first, then the longest wait. This is what makes the queue
    /// fair: a group that keeps its receivers busy comes after those that do not.
    ready: BTreeSet<(usize, Key, Arc<str>)>,
    in_flight: usize,
}

impl Index {
    /// Adds a message that can be received from `visible_ms` on.
    pub(super) fn insert(&mut self, id: i64, group: &str, visible_ms: i64, receive_count: u32, now_ms: i64) {
        let group = self.groups.get_key_value(group).map_or_else(|| Arc::from(group), |(name, _)| Arc::clone(name));
        let place = if visible_ms > now_ms { Place::Delayed } else { Place::Visible };
        self.attach(id, Entry { place, visible_ms, receive_count, group });
    }

    /// Makes visible what has waited long enough.
    pub(super) fn advance(&mut self, now_ms: i64) {
        while let Some(&(due_ms, id)) = self.waiting.first()
            && due_ms <= now_ms
            && let Some(entry) = self.detach(id)
        {
            self.attach(id, Entry { place: Place::Visible, ..entry });
        }
    }

    /// The message to be received next: the oldest of the group that has the fewest in flight; none where that has all that
    /// one group may have.
    pub(super) fn next(&self) -> Option<(i64, &Entry)> {
        let (_, (_, id), _) = self.ready.first().filter(|(in_flight, ..)| *in_flight < GROUP_IN_FLIGHT_MAX)?;
        self.entries.get_key_value(id).map(|(id, entry)| (*id, entry))
    }

    /// Counts a receipt of the message and hides it until `visible_ms`.
    pub(super) fn receive(&mut self, id: i64, visible_ms: i64) {
        if let Some(entry) = self.detach(id) {
            let receive_count = entry.receive_count.saturating_add(1);
            self.attach(id, Entry { place: Place::InFlight, visible_ms, receive_count, ..entry });
        }
    }

    /// Hides a message in flight until `visible_ms` instead, which may be now.
    pub(super) fn hide(&mut self, id: i64, visible_ms: i64, now_ms: i64) {
        if let Some(entry) = self.detach(id) {
            let place = if visible_ms > now_ms { Place::InFlight } else { Place::Visible };
            self.attach(id, Entry { place, visible_ms, ..entry });
        }
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, id: i64) -> Option<Entry> {
        self.detach(id)
    }

    /// The message with this id.
    pub(super) fn get(&self, id: i64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// When the next message becomes visible that is not yet.
    pub(super) fn next_visible_ms(&self) -> Option<i64> {
        self.waiting.first().map(|(visible_ms, _)| *visible_ms)
    }

    /// How many messages stand where.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            visible: self.entries.len() - self.waiting.len(),
            delayed: self.waiting.len() - self.in_flight,
            in_flight: self.in_flight,
        }
    }

    fn attach(&mut self, id: i64, entry: Entry) {
        let key = (entry.visible_ms, id);
        match entry.place {
            Place::Delayed => {
                self.waiting.insert(key);
            }
            Place::InFlight => {
                self.waiting.insert(key);
                self.in_flight += 1;
                self.change_group(&entry.group, |group| group.in_flight += 1);
            }
            Place::Visible => self.change_group(&entry.group, |group| {
                group.visible.insert(key);
            }),
        }
        self.entries.insert(id, entry);
    }

    fn detach(&mut self, id: i64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let key = (entry.visible_ms, id);
        match entry.place {
            Place::Delayed => {
                self.waiting.remove(&key);
            }
            Place::InFlight => {
                self.waiting.remove(&key);
                self.in_flight -= 1;
                self.change_group(&entry.group, |group| group.in_flight -= 1);
            }
            Place::Visible => self.change_group(&entry.group, |group| {
                group.visible.remove(&key);
            }),
        }
        Some(entry)
    }

    /// Changes a group and its turn with it; forgets a group that has become empty.
    fn change_group(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Group)) {
        let group = self.groups.entry(Arc::clone(name)).or_default();
        if let Some(first) = group.visible.first() {
            self.ready.remove(&(group.in_flight, *first, Arc::clone(name)));
        }
        change(group);
        if let Some(first) = group.visible.first() {
            self.ready.insert((group.in_flight, *first, Arc::clone(name)));
        } else if group.in_flight == 0 {
            self.groups.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Receives up to `count` messages at `now_ms`, for a second each.
    fn receive(index: &mut Index, count: usize, now_ms: i64) -> Vec<i64> {
        index.advance(now_ms);
        let mut ids = Vec::new();
        while ids.len() < count
            && let Some((id, _)) = index.next()
        {
            index.receive(id, now_ms + 1000);
            ids.push(id);
        }
        ids
    }

    #[test]
    fn a_busy_group_waits_for_the_others() {
        let mut index = Index::default();
        for id in 0..6 {
            index.insert(id, "noisy", 0, 0, 0);
        }
        index.insert(6, "quiet", 0, 0, 0);
        index.insert(7, "shy", 0, 0, 0);
        assert_eq!(receive(&mut index, 4, 0), [0, 6, 7, 1]);
        // Two of `noisy` are in flight: a newcomer comes first, however late it is.
        index.insert(8, "late", 5, 0, 5);
        assert_eq!(receive(&mut index, 2, 5), [8, 2]);
    }

    #[test]
    fn a_group_has_only_so_many_in_flight() {
        let mut index = Index::default();
        let many = GROUP_IN_FLIGHT_MAX as i64 + 10;
        for id in 0..many {
            index.insert(id, "hanging", 0, 0, 0);
        }
        assert_eq!(receive(&mut index, many as usize, 0).len(), GROUP_IN_FLIGHT_MAX);
        index.insert(many, "other", 0, 0, 0);
        assert_eq!(receive(&mut index, 10, 0), [many]);
        index.remove(0);
        assert_eq!(receive(&mut index, 10, 0), [GROUP_IN_FLIGHT_MAX as i64], "each that ends lets the next one go");
        assert_eq!(index.counts().visible, 9);
    }

    #[test]
    fn what_is_not_deleted_comes_back() {
        let mut index = Index::default();
        index.insert(1, "", 500, 0, 0);
        assert_eq!(index.counts(), Counts { delayed: 1, ..Counts::default() });
        assert_eq!(receive(&mut index, 1, 499), [0; 0]);
        assert_eq!(receive(&mut index, 1, 500), [1]);
        assert_eq!(index.counts(), Counts { in_flight: 1, ..Counts::default() });
        assert_eq!(index.next_visible_ms(), Some(1500));
        assert_eq!(receive(&mut index, 1, 1499), [0; 0]);
        assert_eq!(receive(&mut index, 1, 1500), [1]);
        assert_eq!(index.get(1).map(|entry| entry.receive_count), Some(2));
        index.hide(1, 1600, 1600);
        assert_eq!(index.counts(), Counts { visible: 1, ..Counts::default() });
        assert!(index.remove(1).is_some());
        assert!(index.groups.is_empty() && index.ready.is_empty() && index.waiting.is_empty());
    }
}
