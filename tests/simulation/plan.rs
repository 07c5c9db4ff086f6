//! What one seed is about: drawn once at its beginning. Seeds are kept small, so that many of them can be run, and differ in
//! what they stress, so that rare meetings of two faults are not drowned by others.

use std::num::NonZeroU32;
use std::time::Duration;

use hookline::schedule::RetrySchedule;

use crate::dice::Dice;

/// The settings of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    is_faultless: bool,
    /// Compressed, but with both of the ways in which a wake-up waits: as a delayed message and as a schedule.
    pub(crate) waits_s: Vec<u64>,
    /// How long events and deliveries are kept.
    pub(crate) retention: Duration,
    /// Calls of AWS that go wrong, in a thousand.
    pub(crate) call_faults: u32,
    /// Messages and schedules that come late, twice or in another order, in a thousand.
    pub(crate) message_faults: u32,
    /// Units a second that a partition of a table takes, and messages that a queue takes, where that is little.
    pub(crate) units_a_second: Option<u32>,
    /// Whether a read that need not be consistent may be answered with what was.
    pub(crate) stale_reads: bool,
    /// Processes that find their connections dead after a time without work, in a thousand.
    pub(crate) dead_connections: u32,
    /// The longest time between the receipt of a batch and its handling, in every case.
    pub(crate) mapping_lag_ms: i64,
    /// Batches that Lambda refuses, in a thousand.
    pub(crate) mapping_throttles: u32,
    /// Invocations of one function in one chain of requests before Lambda stops it: sixteen, or fewer, as the schedule's
    /// waits are shorter.
    pub(crate) chain_max: u32,
    /// Events a second that one account may publish through the API.
    pub(crate) publish_rate_limit: Option<NonZeroU32>,
    /// Asynchronous invocations that Lambda itself cannot bring about, in a thousand of their tries.
    pub(crate) async_faults: u32,
    /// Processes that end before their first event, in a thousand.
    pub(crate) init_faults: u32,
    /// How far a process's clock is off, at most, either way.
    pub(crate) skew_ms: i64,
    /// How long a received message stays hidden.
    pub(crate) visibility_s: i64,
    /// Receipts before a message goes to the dead-letter queue, from which it is put back in the end.
    pub(crate) receipts_max: u32,
    /// Receivers that fail for a while, in a thousand of their spells.
    pub(crate) bad_spells: u32,
    /// Webhooks with a rate limit, in a thousand.
    pub(crate) rate_limits: u32,
    /// Batches with as many events as one may have, in a thousand.
    pub(crate) large_batches: i64,
    /// Whether events are about as large as they may be, and twice as large where they are JSON in JSON.
    pub(crate) large_events: bool,
    /// Webhooks that the first account begins with.
    pub(crate) webhooks: i64,
    /// What users do, in all.
    pub(crate) actions: i64,
    /// The longest time between two things that users do.
    pub(crate) pause_max_ms: i64,
}

impl Plan {
    pub(crate) fn draw(dice: &Dice) -> Self {
        // A seed in eight has no faults at all: what is promised without an excuse is checked there.
        let faultless = dice.permille(125);
        let wide = dice.permille(100);
        let large_events = !wide && dice.permille(30);
        let schedules: [&[u64]; 4] = [&[0, 60, 1200], &[0, 30, 60], &[0, 120, 960, 60], &[5, 960]];
        let waits_s = dice.pick(&schedules);
        let mapping_lag_ms = if faultless { 0 } else { *dice.pick(&[0, 0, 0, 1_200, 5_000]) };
        let unless_faultless = |value: u32| if faultless { 0 } else { value };
        Self {
            is_faultless: faultless,
            waits_s: waits_s.to_vec(),
            retention: Duration::from_secs(dice.weighted(&[(2, 1), (30 * 24, 9)]) * 60 * 60),
            call_faults: unless_faultless(*dice.pick(&[0, 10, 30, 80, 150])),
            message_faults: unless_faultless(*dice.pick(&[0, 30, 100, 250])),
            units_a_second: Some(*dice.pick(&[0, 0, 0, 3, 15, 60])).filter(|units| !faultless && *units > 0),
            stale_reads: !faultless && dice.permille(300),
            dead_connections: unless_faultless(*dice.pick(&[0, 0, 20, 200])),
            mapping_lag_ms,
            mapping_throttles: unless_faultless(*dice.pick(&[0, 0, 30, 200])),
            chain_max: *dice.pick(&[1, 4, 16]),
            publish_rate_limit: NonZeroU32::new(*dice.pick(&[0, 0, 0, 5])),
            async_faults: unless_faultless(*dice.pick(&[0, 0, 100, 800])),
            init_faults: unless_faultless(*dice.pick(&[0, 0, 0, 50, 600])),
            skew_ms: if faultless { 0 } else { *dice.pick(&[0, 500, 2000]) },
            visibility_s: if faultless { 180 } else { *dice.pick(&[180, 180, 30]) },
            receipts_max: *dice.pick(&[2, 10]),
            bad_spells: *dice.pick(&[0, 200, 500, 900]),
            webhooks: if wide { dice.between(11, 23) } else { dice.between(1, 3) },
            // A long line whose tasks all come late.
            rate_limits: if mapping_lag_ms > 0 { 400 } else { 150 },
            large_batches: if mapping_lag_ms > 0 { 100 } else { 30 },
            large_events,
            actions: match (wide, large_events) {
                (true, _) => dice.between(3, 6),
                (_, true) => dice.between(24, 36),
                _ => dice.between(6, 16),
            },
            pause_max_ms: *dice.pick(&[2_000, 60_000, 900_000, 3_600_000]),
        }
    }

    /// The schedule, as an operator writes it.
    pub(crate) fn retry_schedule(&self) -> RetrySchedule {
        let waits: Vec<_> = self.waits_s.iter().map(|wait_s| format!("{wait_s}s")).collect();
        waits.join(",").parse().expect("a schedule")
    }

    /// Whether nothing goes wrong but receivers.
    pub(crate) fn is_faultless(&self) -> bool {
        self.is_faultless
    }
}
