//! The newest events. A list shows them by their ids, so an event that is stored late appears below newer ones: each look
//! compares whole pages with what was seen.

use crate::client::{
    Client, Error,
    page::{Page, Wanted},
};
use domain::{
    event_type::{EventType, Subscription},
    id::EventId,
};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// The entries of a page.
const PAGE: u32 = 100;
/// The most pages of one look.
const PAGES_MAX: usize = 10;
/// The most ids that are kept.
const SEEN_MAX: usize = 5000;

/// An event that was not seen before.
#[derive(Clone, Debug)]
pub(super) struct NewEvent {
    pub(super) id: EventId,
    pub(super) event_type: String,
    pub(super) created_at: String,
    /// The server's own JSON.
    pub(super) json: Box<RawValue>,
}

/// The events that were seen.
#[derive(Debug)]
pub(super) struct Feed {
    types: Vec<Subscription>,
    /// How many events the first look shows.
    first: usize,
    seen: Seen,
}

/// A bounded set of ids. Everything before its floor counts as seen.
#[derive(Debug, Default)]
struct Seen {
    ids: BTreeSet<EventId>,
    floor: Option<EventId>,
    /// Whether the first look was made.
    begun: bool,
}

impl Feed {
    /// A feed that begins with the latest `first` events of `types`; of all types if there are none.
    pub(super) fn new(types: Vec<Subscription>, first: usize) -> Self {
        Self { types, first, seen: Seen::default() }
    }

    /// Reads the events that were not seen yet, oldest first.
    pub(super) async fn new_events(&mut self, client: &Client) -> Result<Vec<NewEvent>, Error> {
        let (mut found, mut wanted) = (vec![], Wanted { limit: Some(PAGE), cursor: None });
        let mut pages = 0;
        let ended = loop {
            let answer = client.list_events(None, &wanted).await?;
            let raw: Option<Page<Box<RawValue>>> = serde_json::from_str(&answer.json).ok();
            let entries = answer.value.data.into_iter().zip(raw.into_iter().flat_map(|page| page.data));
            let page: Vec<_> = entries
                .filter_map(|(event, json)| {
                    Some(NewEvent {
                        id: event.id.parse().ok()?,
                        event_type: event.r#type,
                        created_at: event.created_at,
                        json,
                    })
                })
                .collect();
            let was_empty = page.is_empty();
            let unseen: Vec<_> = page.into_iter().filter(|event| !self.seen.has(event.id)).collect();
            // A page of known events ends the look, because older ones are known as well.
            let all_known = !was_empty && unseen.is_empty();
            found.extend(unseen);
            pages += 1;
            wanted.cursor = answer.value.next_cursor;
            let enough = !self.seen.begun && found.len() >= PAGE as usize;
            if all_known || enough || wanted.cursor.is_none() || pages == PAGES_MAX {
                break wanted.cursor.is_none();
            }
        };
        Ok(self.accept(found, ended))
    }

    /// Marks events as seen. Returns those to show, oldest first.
    fn accept(&mut self, mut found: Vec<NewEvent>, ended: bool) -> Vec<NewEvent> {
        found.sort_by_key(|event| event.id);
        if !self.seen.begun && !ended {
            self.seen.floor = found.first().map(|event| event.id);
        }
        for event in &found {
            self.seen.add(event.id);
        }
        found.retain(|event| self.wants(&event.event_type));
        if !self.seen.begun {
            found.drain(..found.len().saturating_sub(self.first));
            self.seen.begun = true;
        }
        found
    }

    fn wants(&self, event_type: &str) -> bool {
        let covers = |name: EventType| self.types.iter().any(|types| types.covers(&name));
        self.types.is_empty() || event_type.parse().is_ok_and(covers)
    }
}

impl Seen {
    fn has(&self, id: EventId) -> bool {
        self.floor.is_some_and(|floor| id < floor) || self.ids.contains(&id)
    }

    fn add(&mut self, id: EventId) {
        self.ids.insert(id);
        if self.ids.len() > SEEN_MAX {
            self.ids.pop_first();
            self.floor = self.ids.first().copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{random::Random, time::Timestamp};

    fn event(at_ms: i64, event_type: &str) -> NewEvent {
        let id = EventId::new(Timestamp::from_unix_ms(at_ms), &Random::new(|bytes| bytes.fill(0)));
        let json = RawValue::from_string("{}".to_owned()).expect("JSON");
        NewEvent { id, event_type: event_type.to_owned(), created_at: String::new(), json }
    }

    fn shown(feed: &mut Feed, events: &[NewEvent], ended: bool) -> Vec<i64> {
        let unseen = events.iter().filter(|event| !feed.seen.has(event.id)).cloned().collect();
        feed.accept(unseen, ended).iter().map(|event| event.id.made_at().unix_ms()).collect()
    }

    #[test]
    fn the_first_look_shows_the_latest_and_later_ones_what_is_new() {
        let mut feed = Feed::new(vec!["a.*".parse().expect("a subscription")], 2);
        let first = [event(5, "a.b"), event(4, "b.b"), event(3, "a.c"), event(2, "a.b")];
        assert_eq!(shown(&mut feed, &first, false), [3, 5]);
        // An event that is stored late appears among those that were seen; one before them is old.
        let second = [event(7, "a.b"), event(6, "b.b"), event(5, "a.b"), event(4, "b.b"), event(1, "a.b")];
        assert_eq!(shown(&mut feed, &second, false), [7]);
        let late = [event(7, "a.b"), event(6, "b.b"), event(5, "a.b"), event(3, "a.c")];
        assert_eq!(shown(&mut feed, &late, false), Vec::<i64>::new());
    }

    #[test]
    fn an_event_that_is_stored_late_is_shown() {
        let mut feed = Feed::new(vec![], 0);
        assert_eq!(shown(&mut feed, &[event(5, "a.b"), event(3, "a.b")], true), Vec::<i64>::new());
        assert_eq!(shown(&mut feed, &[event(5, "a.b"), event(4, "a.b"), event(3, "a.b")], true), [4]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        for at_ms in 0..i64::try_from(SEEN_MAX).expect("small") + 10 {
            seen.add(event(at_ms, "a.b").id);
        }
        assert_eq!(seen.ids.len(), SEEN_MAX);
        assert!(seen.has(event(3, "a.b").id), "what was dropped still counts as seen");
        assert!(!seen.has(event(1_000_000, "a.b").id));
    }
}
