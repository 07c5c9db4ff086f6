//! The state of every message of one queue: which can be received and in which order, and which are hidden until when.
//!
//! Every operation costs O(log n), so a long backlog is received as fast as a short one. The module does no I/O and knows no
//! contents: it knows a message by its id. A time is in milliseconds since the Unix epoch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The most messages of one group that are in flight. SQS has no such limit, but here one process handles all messages, and a
/// group whose messages hang would take all connections from the others. An endpoint that hangs for 5 s at 50 events a second
/// has fewer messages than this in flight (ADR 12).
const GROUP_IN_FLIGHT_MAX: usize = 256;

/// When a message can be received, and its id. Messages of a group are received in the order of their keys.
type Key = (i64, i64);

/// The state of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageState {
    /// It can be received.
    Visible,
    /// Its delay is not over yet.
    Delayed,
    /// It has been received, and neither deleted nor made visible again.
    InFlight,
}

/// A message in the index.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its state.
    pub(super) state: MessageState,
    /// When it becomes or became visible.
    pub(super) visible_ms: i64,
    /// How often it has been received.
    pub(super) receive_count: u32,
    /// Its message group. Messages without a group share the group with the empty name.
    pub(super) group: Arc<str>,
}

/// How many messages are in each state.
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

/// A message to add to a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    /// When it can be received, in milliseconds since the Unix epoch.
    pub(super) visible_ms: i64,
    /// How often it was received before.
    pub(super) receive_count: u32,
}

/// The messages of one queue.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<i64, Entry>,
    /// The messages that are not visible, by the time at which they become visible.
    waiting: BTreeSet<Key>,
    groups: BTreeMap<Arc<str>, Group>,
    /// The groups with visible messages. The group with the fewest messages in flight comes first, then the one that has waited
    /// longest. This order makes the queue fair: a group with many messages in flight comes after the others.
    ready: BTreeSet<(usize, Key, Arc<str>)>,
    in_flight: usize,
}

impl Index {
    /// Adds a message to a group.
    pub(super) fn insert(&mut self, id: i64, group: &str, message: Added, now_ms: i64) {
        let Added { visible_ms, receive_count } = message;
        let group = self.groups.get_key_value(group).map_or_else(|| Arc::from(group), |(name, _)| Arc::clone(name));
        let state = if visible_ms > now_ms { MessageState::Delayed } else { MessageState::Visible };
        self.attach(id, Entry { state, visible_ms, receive_count, group });
    }

    /// Makes the messages visible that are due by `now_ms`.
    pub(super) fn advance(&mut self, now_ms: i64) {
        while let Some(&(due_ms, id)) = self.waiting.first()
            && due_ms <= now_ms
            && let Some(entry) = self.detach(id)
        {
            self.attach(id, Entry { state: MessageState::Visible, ..entry });
        }
    }

    /// Returns the message to receive next: the oldest of the group with the fewest messages in flight. Returns `None` if that
    /// group has [`GROUP_IN_FLIGHT_MAX`].
    pub(super) fn next(&self) -> Option<(i64, &Entry)> {
        let (_, (_, id), _) = self.ready.first().filter(|(in_flight, ..)| *in_flight < GROUP_IN_FLIGHT_MAX)?;
        self.entries.get_key_value(id).map(|(id, entry)| (*id, entry))
    }

    /// Counts a receipt of the message, and hides the message until `visible_ms`.
    pub(super) fn receive(&mut self, id: i64, visible_ms: i64) {
        if let Some(entry) = self.detach(id) {
            let receive_count = entry.receive_count.saturating_add(1);
            self.attach(id, Entry { state: MessageState::InFlight, visible_ms, receive_count, ..entry });
        }
    }

    /// Changes the time until which a message in flight is hidden. `visible_ms` may be now.
    pub(super) fn hide(&mut self, id: i64, visible_ms: i64, now_ms: i64) {
        if let Some(entry) = self.detach(id) {
            let state = if visible_ms > now_ms { MessageState::InFlight } else { MessageState::Visible };
            self.attach(id, Entry { state, visible_ms, ..entry });
        }
    }

    /// Removes a message.
    pub(super) fn remove(&mut self, id: i64) -> Option<Entry> {
        self.detach(id)
    }

    /// Returns the message with this id.
    pub(super) fn get(&self, id: i64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Returns when the next hidden message becomes visible.
    pub(super) fn next_visible_ms(&self) -> Option<i64> {
        self.waiting.first().map(|(visible_ms, _)| *visible_ms)
    }

    /// Counts the messages in each state.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            visible: self.entries.len() - self.waiting.len(),
            delayed: self.waiting.len() - self.in_flight,
            in_flight: self.in_flight,
        }
    }

    fn attach(&mut self, id: i64, entry: Entry) {
        let key = (entry.visible_ms, id);
        match entry.state {
            MessageState::Delayed => {
                self.waiting.insert(key);
            }
            MessageState::InFlight => {
                self.waiting.insert(key);
                self.in_flight += 1;
                self.change_group(&entry.group, |group| group.in_flight += 1);
            }
            MessageState::Visible => self.change_group(&entry.group, |group| {
                group.visible.insert(key);
            }),
        }
        self.entries.insert(id, entry);
    }

    fn detach(&mut self, id: i64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let key = (entry.visible_ms, id);
        match entry.state {
            MessageState::Delayed => {
                self.waiting.remove(&key);
            }
            MessageState::InFlight => {
                self.waiting.remove(&key);
                self.in_flight -= 1;
                self.change_group(&entry.group, |group| group.in_flight -= 1);
            }
            MessageState::Visible => self.change_group(&entry.group, |group| {
                group.visible.remove(&key);
            }),
        }
        Some(entry)
    }

    /// Changes a group, and moves it to its new position in `ready`. Removes a group that has become empty.
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
    fn a_group_with_many_messages_in_flight_comes_after_the_others() {
        let mut index = Index::default();
        for id in 0..6 {
            index.insert(id, "noisy", Added::default(), 0);
        }
        index.insert(6, "quiet", Added::default(), 0);
        index.insert(7, "shy", Added::default(), 0);
        assert_eq!(receive(&mut index, 4, 0), [0, 6, 7, 1]);
        // Two of `noisy` are in flight, so a message of a new group comes first, even though it is the newest.
        index.insert(8, "late", Added { visible_ms: 5, receive_count: 0 }, 5);
        assert_eq!(receive(&mut index, 2, 5), [8, 2]);
    }

    #[test]
    fn the_messages_in_flight_of_a_group_are_limited() {
        let mut index = Index::default();
        let many = GROUP_IN_FLIGHT_MAX as i64 + 10;
        for id in 0..many {
            index.insert(id, "hanging", Added::default(), 0);
        }
        assert_eq!(receive(&mut index, many as usize, 0).len(), GROUP_IN_FLIGHT_MAX);
        index.insert(many, "other", Added::default(), 0);
        assert_eq!(receive(&mut index, 10, 0), [many]);
        index.remove(0);
        assert_eq!(receive(&mut index, 10, 0), [GROUP_IN_FLIGHT_MAX as i64], "a deleted message makes room for one");
        assert_eq!(index.counts().visible, 9);
    }

    #[test]
    fn a_message_that_is_not_deleted_becomes_visible_again() {
        let mut index = Index::default();
        index.insert(1, "", Added { visible_ms: 500, receive_count: 0 }, 0);
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
