//! The settings of one seed, drawn once when it begins. Seeds are small, so that many of them can
//! run. They stress different faults, so that a rare combination of two faults is not hidden by the
//! others.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::backoff::RetrySchedule;
use domain::webhook::TrialSchedule;
use store::queues::VISIBILITY_TIMEOUT;

use crate::dice::Dice;

/// The settings of one seed. Each "per thousand" is a chance.
#[allow(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    is_faultless: bool,
    /// The waits of the retry schedule, in seconds. They are shorter than in production, but still
    /// use both kinds of waits: an SQS delay, and an EventBridge schedule for more than 15 minutes.
    pub(crate) waits_s: Vec<u64>,
    /// When disabled webhooks are tried again, as an operator would write it.
    trials: &'static str,
    /// Whether webhooks are tried again that leave the option open.
    pub(crate) auto_recover: bool,
    /// How long events and deliveries are kept.
    pub(crate) retention: Duration,
    /// AWS calls with a fault, per thousand.
    pub(crate) call_faults: u32,
    /// Messages and schedules that arrive late, twice or in another order, per thousand.
    pub(crate) message_faults: u32,
    /// The limit of each partition, in units a second, and of each queue, in messages a second.
    /// `None` without a limit.
    pub(crate) units_a_second: Option<u32>,
    /// Whether a read that need not be consistent may be answered with an older item.
    pub(crate) stale_reads: bool,
    /// Idle processes whose connections to AWS are dead at their next invocation, per thousand.
    pub(crate) dead_connections: u32,
    /// The longest time between the receipt of a batch and its handling, for every batch.
    pub(crate) mapping_lag_ms: i64,
    /// Batches whose invocation Lambda throttles, per thousand.
    pub(crate) mapping_throttles: u32,
    /// Invocations of one function in one chain before Lambda stops it. Sixteen on AWS; fewer in
    /// some seeds, because the retry schedules here are shorter.
    pub(crate) chain_max: u32,
    /// Events a second that one account may publish through the API.
    pub(crate) publish_rate_limit: Option<NonZeroU32>,
    /// Tries of an asynchronous invocation that fail in Lambda itself, per thousand.
    pub(crate) async_faults: u32,
    /// Processes that die before their first event, per thousand.
    pub(crate) init_faults: u32,
    /// The largest error of a process's clock, in either direction.
    pub(crate) skew_ms: i64,
    /// The visibility timeout of the queues.
    pub(crate) visibility_s: i64,
    /// Receives before a message goes to the dead-letter queue. It is redriven in the end.
    pub(crate) receipts_max: u32,
    /// Phases in which a receiver fails, per thousand.
    pub(crate) bad_phases: u32,
    /// Webhooks with a rate limit, per thousand.
    pub(crate) rate_limits: u32,
    /// Webhooks with options of their own, per thousand.
    pub(crate) options: u32,
    /// Seeds in which a webhook is polled, per thousand.
    pub(crate) polls: u32,
    /// Published batches with the maximum number of events, per thousand.
    pub(crate) large_batches: i64,
    /// Whether events are about as large as allowed. They consist of quotes, so their size
    /// doubles where their JSON is a string in other JSON.
    pub(crate) large_events: bool,
    /// Webhooks that the first account has at the beginning.
    pub(crate) webhooks: i64,
    /// The number of actions of the users.
    pub(crate) actions: i64,
    /// The longest pause between two actions.
    pub(crate) pause_max_ms: i64,
}

impl Plan {
    /// Draws the settings of one seed.
    pub(crate) fn draw(dice: &Dice) -> Self {
        // One seed in eight has no faults. Promises that only hold without faults are checked
        // there.
        let faultless = dice.permille(125);
        let many_webhooks = dice.permille(100);
        let large_events = !many_webhooks && dice.permille(30);
        let schedules: [&[u64]; 4] = [&[0, 60, 1200], &[0, 30, 60], &[0, 120, 960, 60], &[5, 960]];
        let waits_s = dice.pick(&schedules);
        let mapping_lag_ms = if faultless { 0 } else { *dice.pick(&[0, 0, 0, 1_200, 5_000]) };
        let deployed_s = VISIBILITY_TIMEOUT.as_secs() as i64;
        let unless_faultless = |value: u32| if faultless { 0 } else { value };
        Self {
            is_faultless: faultless,
            waits_s: waits_s.to_vec(),
            trials: *dice.pick(&["5m,15m,1h,4h,12h,24h", "30s,2m,16m,40m", "20s,45s"]),
            auto_recover: dice.permille(800),
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
            visibility_s: if faultless { deployed_s } else { *dice.pick(&[deployed_s, deployed_s, 30]) },
            receipts_max: *dice.pick(&[2, 10]),
            bad_phases: *dice.pick(&[0, 200, 500, 900]),
            webhooks: if many_webhooks { dice.between(11, 23) } else { dice.between(1, 3) },
            // More rate limits and larger batches, so that many late tasks wait for one rate limit.
            rate_limits: if mapping_lag_ms > 0 { 400 } else { 150 },
            options: *dice.pick(&[0, 500]),
            polls: 300,
            large_batches: if mapping_lag_ms > 0 { 100 } else { 30 },
            large_events,
            actions: match (many_webhooks, large_events) {
                (true, _) => dice.between(3, 6),
                (_, true) => dice.between(24, 36),
                _ => dice.between(6, 16),
            },
            pause_max_ms: *dice.pick(&[2_000, 60_000, 900_000, 3_600_000]),
        }
    }

    /// Returns the retry schedule, parsed from the text that an operator would write.
    pub(crate) fn retry_schedule(&self) -> RetrySchedule {
        let waits: Vec<_> = self.waits_s.iter().map(|wait_s| format!("{wait_s}s")).collect();
        waits.join(",").parse().expect("a schedule")
    }

    /// Returns when disabled webhooks are tried again.
    pub(crate) fn trial_schedule(&self) -> TrialSchedule {
        self.trials.parse().expect("a schedule")
    }

    /// Whether only receivers fail.
    pub(crate) fn is_faultless(&self) -> bool {
        self.is_faultless
    }
}
