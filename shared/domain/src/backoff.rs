//! When the next attempt is due: the retry schedule, its jitter and a receiver's `Retry-After`.

use crate::time::Timestamp;
use std::{str::FromStr, time::Duration};

/// The retry schedule, unless the operator sets another one.
pub const DEFAULT: &str = "0s,1m,5m,30m,2h";

/// The longest wait before the next attempt that a receiver's `Retry-After` may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// The most attempts that a schedule may have. The item of a delivery keeps them all.
const STEPS_MAX: usize = 20;

/// The longest wait before an attempt.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest wait before the first attempt: the longest delay of an SQS message.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(900);

/// The wait before each attempt of a delivery. The first wait begins at publication, and every other one at the end of the
/// previous attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

impl RetrySchedule {
    /// Returns the number of attempts of a run.
    pub fn steps(&self) -> u32 {
        self.0.len() as u32
    }

    /// Returns the wait before the first attempt: whole seconds, at most 900, the longest delay of SQS.
    pub fn first_wait(&self) -> Duration {
        self.0.first().copied().unwrap_or_default()
    }

    /// Returns when the attempt after step `done` (from 1) is due, if `done` ended at `now`. Returns `None` if `done` was the
    /// last.
    ///
    /// `jitter` (0 to 1) adds up to a tenth to the wait and never subtracts. `retry_after`, of which at most
    /// [`RETRY_AFTER_MAX`] counts, can lengthen the wait but not shorten it.
    pub fn next(&self, done: u32, now: Timestamp, retry_after: Option<Duration>, jitter: f64) -> Option<Timestamp> {
        let wait = *self.0.get(done as usize)?;
        let wait = wait + wait.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);
        Some(now.plus(wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))))
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        DEFAULT.parse().expect("the default is a valid schedule")
    }
}

/// Reads 1 to 20 waits separated by commas, such as `0s,1m,5m,30m,2h`. Each is a whole number followed by `s`, `m` or `h`.
impl FromStr for RetrySchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let waits = text.split(',').map(|wait| parse_wait(wait.trim())).collect::<Result<Vec<_>, _>>()?;
        if waits.len() > STEPS_MAX {
            return Err(format!("has {} waits, but at most {STEPS_MAX} are allowed", waits.len()));
        }
        if waits[0] > FIRST_WAIT_MAX {
            return Err("has a first wait of more than 15 minutes".to_owned());
        }
        Ok(Self(waits))
    }
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let fault = || format!("has the wait '{text}', which is not a whole number followed by s, m or h (at most 7 days)");
    let unit_s = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        _ => return Err(fault()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault());
    }
    let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_s)).ok_or_else(fault)?;
    let wait = Duration::from_secs(seconds);
    if wait <= WAIT_MAX { Ok(wait) } else { Err(fault()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_739_874_600_000;

    fn wait_ms(schedule: &RetrySchedule, done: u32, retry_after_s: Option<u64>, jitter: f64) -> Option<i64> {
        let now = Timestamp::from_unix_ms(NOW);
        let due = schedule.next(done, now, retry_after_s.map(Duration::from_secs), jitter)?;
        Some(due.unix_ms() - NOW)
    }

    #[test]
    fn the_default_schedule_is_as_documented() {
        let schedule = RetrySchedule::default();
        let waits: Vec<_> = (1..=5).map(|done| wait_ms(&schedule, done, None, 0.0)).collect();
        assert_eq!(waits, [Some(60_000), Some(300_000), Some(1_800_000), Some(7_200_000), None]);
        assert_eq!(schedule.first_wait(), Duration::ZERO);
    }

    #[test]
    fn retry_after_lengthens_the_wait_up_to_its_limit_and_never_shortens_it() {
        let schedule = RetrySchedule::default();
        assert_eq!(wait_ms(&schedule, 1, Some(10), 0.0), Some(60_000));
        assert_eq!(wait_ms(&schedule, 1, Some(90), 0.0), Some(90_000));
        assert_eq!(wait_ms(&schedule, 1, Some(u64::MAX), 0.0), Some(7_200_000));
        assert_eq!(wait_ms(&schedule, 5, Some(90), 0.0), None);
    }

    #[test]
    fn invalid_schedules_are_refused() {
        for wrong in [
            "",
            "0s,",
            "1",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            "1d",
            "0s,1m;5m",
            "169h",
            "16m,1m",
            "99999999999999999999h",
            "1é",
        ] {
            assert!(wrong.parse::<RetrySchedule>().is_err(), "{wrong}");
        }
        assert!(vec!["1s"; 21].join(",").parse::<RetrySchedule>().is_err());
        assert_eq!("0s, 1m".parse::<RetrySchedule>().expect("spaces are allowed").steps(), 2);
    }

    proptest! {
        #[test]
        fn jitter_adds_at_most_a_tenth(done in 1_u32..5, jitter in 0.0_f64..1.0) {
            let schedule = RetrySchedule::default();
            let bare = wait_ms(&schedule, done, None, 0.0).expect("a next step");
            let jittered = wait_ms(&schedule, done, None, jitter).expect("a next step");
            prop_assert!(jittered >= bare && jittered <= bare + bare / 10);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<RetrySchedule>();
        }
    }
}
