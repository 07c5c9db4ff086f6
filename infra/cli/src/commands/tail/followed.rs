//! The events whose deliveries may still change. Each is looked at again and again, less and less often.

use super::{super::Session, feed::NewEvent, lines};
use crate::{
    client::{Answer, Error, deliveries::Delivery, events::EventWithDeliveries},
    output::Output,
};
use domain::{
    id::EventId,
    time::{Clock, Timestamp},
};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::{HashMap, VecDeque},
    io,
    time::{Duration, Instant},
};

/// The most events that are followed at once.
const FOLLOWED_MAX: usize = 200;
/// The most requests of a look at once.
const CONCURRENCY: usize = 8;
/// The first wait between two looks at an event, and the longest. Each is twice the one before while nothing changes.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait for an attempt that is due later. A user may ask for one before.
const UNTIL_DUE_MAX: Duration = Duration::from_secs(60);

/// The followed events, oldest first.
#[derive(Debug, Default)]
pub(super) struct Followed {
    events: VecDeque<Event>,
    /// Whether it was said that there are too many.
    full: bool,
}

/// A followed event.
#[derive(Debug)]
struct Event {
    id: EventId,
    /// The status of each delivery and the number of its last attempt, as they were printed.
    deliveries: HashMap<String, (String, u32)>,
    next_look: Instant,
    wait: Duration,
}

/// The deliveries of an event, as the server's JSON.
#[derive(Deserialize)]
struct Raw {
    deliveries: Vec<Box<RawValue>>,
}

impl Followed {
    /// Prints a new event, and follows it.
    pub(super) fn begin(&mut self, out: Output, event: NewEvent) -> io::Result<()> {
        lines::event(out, &event)?;
        let now = Instant::now();
        self.events.push_back(Event { id: event.id, deliveries: HashMap::new(), next_look: now, wait: FIRST_WAIT });
        if self.events.len() > FOLLOWED_MAX {
            self.events.pop_front();
            if !self.full {
                eprintln!("More than {FOLLOWED_MAX} events have unfinished deliveries; the oldest are not followed.");
            }
            self.full = true;
        }
        Ok(())
    }

    /// Looks at each event that is due, and prints what changed.
    pub(super) async fn look(&mut self, session: &Session) -> anyhow::Result<()> {
        let now = Instant::now();
        let due: Vec<_> = self.events.iter().filter(|event| event.next_look <= now).map(|event| event.id).collect();
        let read = async |id| (id, session.client.read_event(id, None).await);
        let mut answers = stream::iter(due).map(read).buffered(CONCURRENCY);
        while let Some((id, answer)) = answers.next().await {
            let finished = match answer {
                Ok(answer) => match self.events.iter_mut().find(|event| event.id == id) {
                    Some(event) => event.compare(session.out, &answer)?,
                    None => true,
                },
                // The event has expired.
                Err(error) if error.status() == Some(http::StatusCode::NOT_FOUND) => true,
                Err(error) => return Err(Error::into(error)),
            };
            if finished {
                self.events.retain(|event| event.id != id);
            }
        }
        Ok(())
    }
}

impl Event {
    /// Prints the deliveries that changed. Returns whether none will change any more by itself.
    fn compare(&mut self, out: Output, answer: &Answer<EventWithDeliveries>) -> io::Result<bool> {
        let raw = if out.json { serde_json::from_str::<Raw>(&answer.json).ok() } else { None };
        let deliveries = &answer.value.deliveries;
        let mut changed = false;
        for (index, delivery) in deliveries.iter().enumerate() {
            let attempts = delivery.attempts.last().map_or(0, |attempt| attempt.number);
            let state = (delivery.status.clone(), attempts);
            // A delivery that waits for its first attempt is nothing new.
            let nothing_new = is_pending(delivery) && attempts == 0;
            if self.deliveries.get(&delivery.id) != Some(&state) && !nothing_new {
                changed = true;
                let json = raw.as_ref().and_then(|raw| raw.deliveries.get(index));
                lines::delivery(out, self.id, delivery, json.map(|json| json.get()))?;
            }
            self.deliveries.insert(delivery.id.clone(), state);
        }
        self.wait = if changed { FIRST_WAIT } else { (self.wait * 2).min(LONGEST_WAIT) };
        self.next_look = Instant::now() + self.wait.max(until_next_attempt(deliveries));
        Ok(!deliveries.iter().any(is_pending))
    }
}

/// How long nothing will happen by itself: until the earliest attempt that is due later.
fn until_next_attempt(deliveries: &[Delivery]) -> Duration {
    let now = Clock::system().now();
    let pending = deliveries.iter().filter(|delivery| is_pending(delivery));
    let waits = pending.map(|delivery| {
        let due = delivery.next_attempt_at.as_deref().and_then(|due| Timestamp::parse_rfc3339(due).ok());
        due.map_or(Duration::ZERO, |due| due.since(now))
    });
    waits.min().unwrap_or_default().min(UNTIL_DUE_MAX)
}

fn is_pending(delivery: &Delivery) -> bool {
    delivery.status == "pending"
}
