//! A webhook's rate limit: when a task may make its attempt, and when it must return. It is a GCRA rate limiter (generic cell
//! rate algorithm): one conditional write reserves the next slot or permit.
//!
//! Three counters say when the next reservation of each kind begins; each reservation moves its counter on by one interval.
//!
//! | counter | reserves | for |
//! |---|---|---|
//! | `permits` | a permit: the moment of an attempt | a task in hand, just before its attempt |
//! | `slots` | a slot: the moment at which a task returns from the queue | a task that cannot be attempted at once |
//! | `late_slots` | a slot ahead of all other waiting tasks | a task that had a slot but finds no permit |
//!
//! A slot only says when the task returns. The permit, which is reserved when the message is in hand, keeps the limit. So a
//! message that arrives late costs nothing: it reserves the next permit, and the permit that it missed was never reserved. With
//! one counter for both, each missed slot would be lost and another one reserved at the end; once every message is late, every
//! slot is missed and nothing is delivered any more.
//!
//! A task that had a slot never reserves one of `slots` again. If the permits of the next [`WAIT_MAX`] are reserved, it returns
//! in a late slot, which begins where the permits end. Tasks without a slot wait behind both. No permit stays unused while a
//! task waits, because a task is only sent back when a whole [`WAIT_MAX`] of permits is reserved.
//!
//! The writes add to the counters, so that workers do not wait for each other: a reservation has a condition on a counter
//! only as far as its decision depends on it.

use std::time::Duration;

/// The longest wait with the message in hand. A task that waits longer returns to the queue, whose delays are whole seconds.
pub const WAIT_MAX: Duration = Duration::from_secs(1);

/// The longest time between a permit and the beginning of its attempt. Timers and the write that reserves the permit are no
/// more exact than this.
pub const LATE_MAX: Duration = Duration::from_millis(30);

/// The time that `rate_limit` permits take, in microseconds: a second, [`LATE_MAX`], and 20 ms by which the write between the
/// permit and the request may differ. Even if the first of `rate_limit + 1` requests is that late and the last is on time, no
/// second contains them all.
const SPAN_US: i64 = 1_050_000;

/// Returns the time between two permits of a webhook with `rate_limit` deliveries a second, in microseconds.
pub fn interval_us(rate_limit: u32) -> i64 {
    let rate_limit = i64::from(rate_limit.max(1));
    (SPAN_US + rate_limit - 1) / rate_limit
}

/// When the next reservation of each kind begins, in microseconds since the Unix epoch. A counter starts at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// When the next slot begins.
    pub slots_us: i64,
    /// When the next permit begins.
    pub permits_us: i64,
    /// When the next late slot begins.
    pub late_slots_us: i64,
}

/// The request of a task in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The present moment, in microseconds since the Unix epoch.
    pub now_us: i64,
    /// The earliest that the permit may begin, in microseconds from now.
    pub lead_us: i64,
    /// The time between two permits, in microseconds.
    pub interval_us: i64,
    /// Whether the task returns from a slot. It then goes ahead of tasks that have none.
    pub has_slot: bool,
}

/// What a reservation grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A permit for the attempt.
    Permit,
    /// A slot behind all waiting tasks.
    Slot,
    /// A slot ahead of all waiting tasks.
    LateSlot,
}

/// How a reservation changes a counter, and on which condition. A reservation that begins at a moment moves its counter to one
/// interval after that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No change and no condition.
    Keep,
    /// No change. The counter must be at most this.
    KeepWithin(i64),
    /// The reservation begins at this moment. The counter must be at most this.
    Begin(i64),
    /// The reservation begins where the counter is.
    Append {
        /// The counter must be greater than this.
        after_us: i64,
        /// The counter must be at most this.
        last_us: i64,
    },
}

/// One conditional write. It has no effect unless every counter meets its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// What it grants.
    pub grant: Grant,
    /// The change of `slots`.
    pub slots: Change,
    /// The change of `permits`.
    pub permits: Change,
    /// The change of `late_slots`.
    pub late_slots: Change,
}

impl Request {
    fn first_us(&self) -> i64 {
        self.now_us + self.lead_us
    }

    /// The last moment that a permit may begin.
    fn last_us(&self) -> i64 {
        self.first_us().max(self.now_us + WAIT_MAX.as_micros() as i64)
    }

    /// Returns the reservation to try before the counters are known. For a task without a slot it assumes that no task waits,
    /// so that the common case is one write. For a task with a slot it assumes that other tasks were attempted just before, as
    /// happens when waiting tasks return one after the other.
    pub fn guess(&self) -> Reservation {
        let (first_us, last_us) = (self.first_us(), self.last_us());
        if self.has_slot {
            let permits = Change::Append { after_us: first_us, last_us };
            return Reservation { grant: Grant::Permit, slots: Change::Keep, permits, late_slots: Change::Keep };
        }
        let (slots, permits) = (Change::Begin(first_us), Change::Begin(first_us));
        Reservation { grant: Grant::Permit, slots, permits, late_slots: Change::KeepWithin(last_us) }
    }

    /// Returns the reservation for known counters.
    pub fn decide(&self, counters: Counters) -> Reservation {
        let (first_us, last_us) = (self.first_us(), self.last_us());
        let is_free = counters.permits_us <= last_us;
        let permits = take(counters.permits_us, first_us, last_us);
        if self.has_slot {
            return if is_free {
                Reservation { grant: Grant::Permit, slots: Change::Keep, permits, late_slots: Change::Keep }
            } else {
                let late_slots = take(counters.late_slots_us, counters.permits_us, i64::MAX);
                Reservation { grant: Grant::LateSlot, slots: Change::Keep, permits: Change::Keep, late_slots }
            };
        }
        let others_first = counters.slots_us.max(counters.late_slots_us) > last_us;
        if is_free && !others_first {
            let slots = take(counters.slots_us, first_us, last_us);
            return Reservation { grant: Grant::Permit, slots, permits, late_slots: Change::KeepWithin(last_us) };
        }
        let behind_us = first_us.max(counters.permits_us).max(counters.late_slots_us);
        let slots = take(counters.slots_us, behind_us, i64::MAX);
        Reservation { grant: Grant::Slot, slots, permits: Change::Keep, late_slots: Change::Keep }
    }
}

/// Returns the change that reserves at `base_us`, or where the counter is if that is later.
fn take(counter_us: i64, base_us: i64, last_us: i64) -> Change {
    if counter_us > base_us { Change::Append { after_us: base_us, last_us } } else { Change::Begin(base_us) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_800_000_000_000_000;
    const SECOND_US: i64 = 1_000_000;

    fn request(has_slot: bool) -> Request {
        Request { now_us: NOW_US, lead_us: 0, interval_us: interval_us(10), has_slot }
    }

    #[test]
    fn no_second_contains_more_requests_than_the_limit_even_if_the_first_is_late() {
        let late_us = LATE_MAX.as_micros() as i64;
        for rate_limit in 1..=1000 {
            assert!(interval_us(rate_limit) * i64::from(rate_limit) >= SECOND_US + late_us, "{rate_limit}");
        }
    }

    #[test]
    fn a_task_with_a_slot_never_waits_behind_all_others() {
        for permits_us in [0, NOW_US, NOW_US + SECOND_US, NOW_US + 60 * SECOND_US] {
            let counters = Counters { slots_us: NOW_US + 900 * SECOND_US, permits_us, late_slots_us: 0 };
            let reservation = request(true).decide(counters);
            assert_eq!(reservation.slots, Change::Keep);
            assert_eq!(reservation.grant == Grant::Permit, permits_us <= NOW_US + SECOND_US, "{reservation:?}");
            assert!(
                reservation.late_slots == Change::Keep || reservation.late_slots == Change::Begin(permits_us),
                "it returns when a permit is free"
            );
        }
    }

    #[test]
    fn a_new_task_waits_behind_waiting_and_late_tasks() {
        let counters = Counters { slots_us: NOW_US, permits_us: NOW_US, late_slots_us: NOW_US + 20 * SECOND_US };
        let reservation = request(false).decide(counters);
        assert_eq!((reservation.grant, reservation.slots), (Grant::Slot, Change::Begin(counters.late_slots_us)));
        assert_eq!(
            request(false).decide(Counters::default()),
            request(false).decide(Counters { slots_us: 1, ..Counters::default() })
        );
        assert_eq!(request(false).decide(Counters::default()).grant, Grant::Permit, "no task waits");
    }
}
