//! Polls: what a polled webhook would have been sent, read from the log of its account's events and signed when it is read. A poll
//! writes nothing.

use crate::{App, filters::Matcher};
use domain::{
    answer::{ANSWER_BYTES_MAX, escaped_len},
    delivery::request,
    event::Event,
    id::EventId,
    polling::{Bounds, Cursor, Polled, Row, SETTLED_AFTER},
    time::{CLOCK_SKEW, Timestamp},
    webhook::Webhook,
};
use futures::future::try_join_all;
use http::HeaderMap;
use store::{
    StoreError,
    event_log::{self, Entry, Part},
    events,
};

/// The most known rows of a lane that are read at first. With events of the common size they cost little.
const KNOWN_MAX: usize = 100;
/// What an entry takes in an answer beside its payload, in escaped bytes: headers with four signatures.
const HEADERS_BYTES: usize = 2 * 1024;

/// What one byte of a payload takes at most when it is escaped twice: a quote becomes `\\\"`.
const ESCAPED_MAX: usize = 4;

/// Where a poll reads.
#[derive(Clone, Debug)]
pub enum Position {
    /// After an earlier poll.
    After(Cursor),
    /// From the oldest event that is kept.
    Start,
    /// From the first event of this moment.
    Since(Timestamp),
    /// From what appears after this poll, whatever its id. The poll itself returns nothing.
    Now,
}

/// A request as the webhook would have been sent it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The headers, signed now.
    pub headers: HeaderMap,
    /// The event.
    pub event: Event,
}

/// Returns at most `limit` of the requests at `position`, oldest first. The webhook's present subscriptions and filter decide what
/// it receives.
pub async fn poll(
    app: &App,
    webhook: &Webhook,
    position: Position,
    limit: usize,
) -> Result<Polled<Request>, StoreError> {
    let now = app.clock.now();
    let returns_nothing = matches!(position, Position::Now);
    let cursor = match position {
        Position::After(cursor) => cursor,
        Position::Start => Cursor::at(now.minus(app.store.settings.retention)),
        Position::Since(moment) => Cursor::at(moment),
        Position::Now => Cursor::at(now.minus(SETTLED_AFTER)),
    };
    let part = Part {
        after: cursor.after(),
        // An id of a clock that is further ahead waits until its time has come.
        last: EventId::first_at(now.plus(CLOCK_SKEW)),
        wanted: limit,
        known: cursor.read_again_in_a_lane().min(KNOWN_MAX),
    };
    let judge = |row: &mut Row<Entry>| {
        row.entry.take_if(|entry| match entry {
            // What is there now is looked at and not returned. So an event that appears later under an older id is new.
            _ if returns_nothing => true,
            Entry::Event(event) => !receives(app, webhook, event),
            Entry::Late { .. } => false,
        });
        row.entry.is_some() && !cursor.has_looked_at(row.id)
    };
    let read = event_log::read_part(&app.store, &webhook.account, part, judge).await?;
    let bounds = Bounds { entries: limit, weight: ANSWER_BYTES_MAX };
    let Polled { entries, cursor, has_more } = cursor.advance(read, now, bounds, weight);
    let events = try_join_all(entries.into_iter().map(|entry| event(app, webhook, entry))).await?;
    let request = |event: Event| Request { headers: request::headers(&event, webhook, 1, now), event };
    Ok(Polled { entries: events.into_iter().flatten().map(request).collect(), cursor, has_more })
}

/// Returns the event of an entry. A late event is read only now. Returns `None` if the webhook does not receive it, or if it has expired.
async fn event(app: &App, webhook: &Webhook, entry: Entry) -> Result<Option<Event>, StoreError> {
    match entry {
        Entry::Event(event) => Ok(Some(event)),
        Entry::Late { event, .. } => {
            let late = events::get(&app.store, &webhook.account, event).await?;
            Ok(late.filter(|event| receives(app, webhook, event)))
        }
    }
}

/// Whether the webhook receives an event, as it is now.
fn receives(app: &App, webhook: &Webhook, event: &Event) -> bool {
    is_returned(&app.filters.matcher(Some(&event.payload)), webhook, event)
}

/// Whether a poll of the webhook returns an event, which `matcher` matches.
pub(crate) fn is_returned(matcher: &Matcher, webhook: &Webhook, event: &Event) -> bool {
    !event.test && webhook.wants(event.id, &event.event_type) && matcher.passes(webhook)
}

/// Returns how many bytes an entry takes in Lambda's answer, at most: the payload is a string in JSON, which is escaped once more.
fn weight(entry: &Entry) -> usize {
    let payload = match entry {
        Entry::Event(event) => {
            let escaped = serde_json::to_vec(&String::from_utf8_lossy(&event.payload)).expect("a string is JSON");
            escaped_len(&escaped)
        }
        Entry::Late { bytes, .. } => bytes * ESCAPED_MAX,
    };
    payload + HEADERS_BYTES
}
