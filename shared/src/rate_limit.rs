//! A webhook's rate limit: when a task may make its attempt, and when it must come back. No I/O here: every decision is a
//! pure function of the time, of whether the task holds a slot, and of three lines (the generic cell rate algorithm, three
//! times in one item).
//!
//! | line | a place in it is | taken by |
//! |---|---|---|
//! | `waiting` | a slot: the moment at which a task comes back | a task that cannot go at once |
//! | `sent` | a permit: the moment of an attempt | a task in hand, just before its attempt |
//! | `late` | a slot ahead of all `waiting` tasks | a task that had a slot, and finds no permit |
//!
//! A slot only says when to come back; it is the permit, taken when the message is in hand, that keeps the limit. So a
//! message that comes late costs nobody anything: it takes the next permit, and the permit that it did not use in time was
//! never taken. With one line for both, a missed slot is lost, another one has to be reserved at the end of the line, and
//! once every message is late every slot is missed: nothing is delivered any more.
//!
//! A task that had a slot never stands in `waiting` again. Where the permits of the next [`WAIT_MAX`] are taken it comes back
//! in the `late` line, whose slots begin where the permits end; tasks without a slot queue up behind both lines. No permit
//! stays unused while a task is sent back, since it is sent back only when a whole [`WAIT_MAX`] of permits is taken.
//!
//! The lines are moved by conditional writes that add to them, so that workers do not wait for each other: a step says what
//! it expects of a line only as far as its decision depends on it.

use std::time::Duration;

/// What is waited for with the message in hand; a longer wait is the queue's, whose delays are whole seconds.
pub const WAIT_MAX: Duration = Duration::from_secs(1);

/// How late after its permit an attempt may begin. Timers and the write that takes the permit are no more exact.
pub const LATE_MAX: Duration = Duration::from_millis(30);

/// What `rate_limit` permits take, in microseconds: a second, [`LATE_MAX`], and 20 ms for what the claim between the permit
/// and the request takes more or less than another one's. Of `rate_limit + 1` requests the first may be late by that much
/// and the last on time, and still no second holds them all.
const SPAN_US: i64 = 1_050_000;

/// The time between two permits of a webhook with `rate_limit` deliveries a second, in microseconds.
pub fn interval_us(rate_limit: u32) -> i64 {
    let rate_limit = i64::from(rate_limit.max(1));
    (SPAN_US + rate_limit - 1) / rate_limit
}

/// Where each line ends, in microseconds since the Unix epoch: what was never written ends in the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// When the next task that waits would come back.
    pub waiting_us: i64,
    /// When the next permit is free.
    pub sent_us: i64,
    /// When the next task that came late would come back.
    pub late_us: i64,
}

/// What is asked for a task that is in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The present moment, in microseconds since the Unix epoch.
    pub now_us: i64,
    /// How long after now the permit may begin at the earliest.
    pub lead_us: i64,
    /// The time between two permits.
    pub interval_us: i64,
    /// Whether its slot has come: it then goes ahead of tasks that have none.
    pub has_slot: bool,
}

/// What a step gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A permit: the attempt may be made then.
    Permit,
    /// A slot at the end of the line.
    Slot,
    /// A slot ahead of all tasks that wait.
    LateSlot,
}

/// What a step does to a line, and what it expects of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing, whatever it is.
    Keep,
    /// Nothing, if it ends at that moment or before.
    KeepWithin(i64),
    /// Takes a place that begins at that moment, if the line ends there or before.
    Begin(i64),
    /// Takes the place at the end of the line, if that is after `after_us` and not after `last_us`.
    Append {
        /// What it ends after.
        after_us: i64,
        /// What it does not end after.
        last_us: i64,
    },
}

/// One write: it happens whole, or not at all where a line is not as a change expects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it gives.
    pub grant: Grant,
    /// What it does to the line of tasks that wait.
    pub waiting: Change,
    /// What it does to the line of permits.
    pub sent: Change,
    /// What it does to the line of tasks that came late.
    pub late: Change,
}

impl Ask {
    fn first_us(&self) -> i64 {
        self.now_us + self.lead_us
    }

    /// The last moment that a permit may begin.
    fn last_us(&self) -> i64 {
        self.first_us().max(self.now_us + WAIT_MAX.as_micros() as i64)
    }

    /// The step to try before the lines are known: without a slot, that nobody waits, which makes one write of the common
    /// case; with one, that others were sent just before, as where a line of tasks comes back one after the other.
    pub fn guess(&self) -> Step {
        let (first_us, last_us) = (self.first_us(), self.last_us());
        if self.has_slot {
            let sent = Change::Append { after_us: first_us, last_us };
            return Step { grant: Grant::Permit, waiting: Change::Keep, sent, late: Change::Keep };
        }
        let (waiting, sent) = (Change::Begin(first_us), Change::Begin(first_us));
        Step { grant: Grant::Permit, waiting, sent, late: Change::KeepWithin(last_us) }
    }

    /// The step for lines that are known.
    pub fn decide(&self, lines: Lines) -> Step {
        let (first_us, last_us) = (self.first_us(), self.last_us());
        let is_free = lines.sent_us <= last_us;
        let sent = take(lines.sent_us, first_us, last_us);
        if self.has_slot {
            return if is_free {
                Step { grant: Grant::Permit, waiting: Change::Keep, sent, late: Change::Keep }
            } else {
                let late = take(lines.late_us, lines.sent_us, i64::MAX);
                Step { grant: Grant::LateSlot, waiting: Change::Keep, sent: Change::Keep, late }
            };
        }
        let others_first = lines.waiting_us.max(lines.late_us) > last_us;
        if is_free && !others_first {
            let waiting = take(lines.waiting_us, first_us, last_us);
            return Step { grant: Grant::Permit, waiting, sent, late: Change::KeepWithin(last_us) };
        }
        let behind_us = first_us.max(lines.sent_us).max(lines.late_us);
        let waiting = take(lines.waiting_us, behind_us, i64::MAX);
        Step { grant: Grant::Slot, waiting, sent: Change::Keep, late: Change::Keep }
    }
}

/// The place from `base_us` on in a line that ends at `line_us`.
fn take(line_us: i64, base_us: i64, last_us: i64) -> Change {
    if line_us > base_us { Change::Append { after_us: base_us, last_us } } else { Change::Begin(base_us) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_800_000_000_000_000;
    const SECOND_US: i64 = 1_000_000;

    fn ask(has_slot: bool) -> Ask {
        Ask { now_us: NOW_US, lead_us: 0, interval_us: interval_us(10), has_slot }
    }

    #[test]
    fn no_second_holds_one_request_more_even_if_the_first_is_late() {
        let late_us = LATE_MAX.as_micros() as i64;
        for rate_limit in 1..=1000 {
            assert!(interval_us(rate_limit) * i64::from(rate_limit) >= SECOND_US + late_us, "{rate_limit}");
        }
    }

    #[test]
    fn a_task_with_a_slot_never_stands_at_the_end_of_the_line() {
        for sent_us in [0, NOW_US, NOW_US + SECOND_US, NOW_US + 60 * SECOND_US] {
            let lines = Lines { waiting_us: NOW_US + 900 * SECOND_US, sent_us, late_us: 0 };
            let step = ask(true).decide(lines);
            assert_eq!(step.waiting, Change::Keep);
            assert_eq!(step.grant == Grant::Permit, sent_us <= NOW_US + SECOND_US, "{step:?}");
            assert!(step.late == Change::Keep || step.late == Change::Begin(sent_us), "it comes back when one is free");
        }
    }

    #[test]
    fn a_new_task_stands_behind_those_that_wait_and_those_that_were_late() {
        let lines = Lines { waiting_us: NOW_US, sent_us: NOW_US, late_us: NOW_US + 20 * SECOND_US };
        let step = ask(false).decide(lines);
        assert_eq!((step.grant, step.waiting), (Grant::Slot, Change::Begin(lines.late_us)));
        assert_eq!(ask(false).decide(Lines::default()), ask(false).decide(Lines { waiting_us: 1, ..Lines::default() }));
        assert_eq!(ask(false).decide(Lines::default()).grant, Grant::Permit, "nobody waits");
    }
}
