//! How far a listener has come.

use domain::id::EventId;
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};

/// The most forwarded events that a position names: more than a page has, and the server's usual repeats of the one before.
const NAMED_MAX: usize = 200;
/// The most forwarded events that are remembered, so that a repeat of the server is not forwarded again.
const REMEMBERED_MAX: usize = 10_000;

/// How far a listener has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Position {
    /// Where the first poll begins, as the API takes it.
    pub(super) from: String,
    /// The cursor up to which everything was forwarded. `None` before the first poll.
    pub(super) cursor: Option<String>,
    /// The latest forwarded events, among them all after the cursor.
    forwarded: VecDeque<EventId>,
}

impl Position {
    /// The position of a listener that has not polled yet.
    pub(super) fn at(from: &str) -> Self {
        Self { from: from.to_owned(), cursor: None, forwarded: VecDeque::new() }
    }

    /// Whether what is new begins with the first poll.
    pub(super) fn begins_with_poll(&self) -> bool {
        self.cursor.is_none() && self.from == "now"
    }

    /// Notes that an event needs no more attempt.
    pub(super) fn add(&mut self, id: EventId) {
        self.forwarded.push_back(id);
        if self.forwarded.len() > NAMED_MAX {
            self.forwarded.pop_front();
        }
    }
}

/// The latest forwarded events of this run and of the one before. A server repeats what it is not sure about.
#[derive(Default)]
pub(super) struct Remembered {
    ids: HashSet<EventId>,
    order: VecDeque<EventId>,
}

impl Remembered {
    pub(super) fn of(position: &Position) -> Self {
        let mut remembered = Self::default();
        for id in &position.forwarded {
            remembered.add(*id);
        }
        remembered
    }

    pub(super) fn has(&self, id: EventId) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn add(&mut self, id: EventId) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}
