//! When the next attempt is due: the retry schedule, its jitter and a receiver's `Retry-After`.

use crate::{input::shown, time::Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// The retry schedule, unless the operator sets another one.
pub const DEFAULT: &str = "0s,1m,5m,30m,2h";

/// The longest wait before the next attempt that a receiver's `Retry-After` may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// The most attempts that a schedule may have, and the most trials. The item of a delivery keeps all attempts.
const STEPS_MAX: usize = 20;

/// The most digits of a wait.
const DIGITS_MAX: usize = 9;

/// The longest wait before an attempt.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest wait before the first attempt: the longest delay of an SQS message.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(900);

/// The most attempts that the schedule of a webhook may have.
pub const WEBHOOK_STEPS_MAX: usize = 10;
/// The longest wait before an attempt in the schedule of a webhook.
const WEBHOOK_WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest schedule of a webhook in all.
const WEBHOOK_SCHEDULE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The wait before each attempt of a delivery. The first wait begins at publication, and every other one at the end of the
/// previous attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Wait>);

/// The wait before an attempt, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    text: String,
    duration: Duration,
}

impl RetrySchedule {
    /// Creates the schedule of a webhook, which has narrower limits than the operator's.
    ///
    /// # Errors
    /// A phrase for the user.
    pub fn of_webhook(waits: Vec<Wait>) -> Result<Self, String> {
        let Some(first) = waits.first().filter(|_| waits.len() <= WEBHOOK_STEPS_MAX) else {
            return Err(format!("must have 1 to {WEBHOOK_STEPS_MAX} entries"));
        };
        if first.duration > FIRST_WAIT_MAX {
            return Err("must have a first wait of at most 15 minutes".to_owned());
        }
        if waits.iter().any(|wait| wait.duration > WEBHOOK_WAIT_MAX) {
            return Err("must have no wait of more than 24 hours".to_owned());
        }
        let total: Duration = waits.iter().map(|wait| wait.duration).sum();
        if total > WEBHOOK_SCHEDULE_MAX {
            return Err("must not last more than 7 days in all".to_owned());
        }
        Ok(Self(waits))
    }

    /// Returns the waits as they were written, such as `5m`.
    pub fn waits(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|wait| wait.text.as_str())
    }

    /// Returns how long a run takes at most, if its attempts take no time and no receiver asks for longer waits.
    pub fn longest(&self) -> Duration {
        self.0.iter().map(|wait| wait.duration + wait.duration / 10).sum()
    }

    /// Returns the number of attempts of a run.
    pub fn steps(&self) -> u32 {
        self.0.len() as u32
    }

    /// Returns the wait before the first attempt: whole seconds, at most 900, the longest delay of SQS.
    pub fn first_wait(&self) -> Duration {
        self.0.first().map(|wait| wait.duration).unwrap_or_default()
    }

    /// Returns when the attempt after step `done` (from 1) is due, if `done` ended at `now`. Returns `None` if `done` was the
    /// last.
    ///
    /// `jitter` (0 to 1) adds up to a tenth to the wait and never subtracts. `retry_after`, of which at most
    /// [`RETRY_AFTER_MAX`] counts, can lengthen the wait but not shorten it.
    pub fn next(&self, done: u32, now: Timestamp, retry_after: Option<Duration>, jitter: f64) -> Option<Timestamp> {
        let wait = self.0.get(done as usize)?.duration;
        let wait = wait + wait.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);
        Some(now.plus(wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))))
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        DEFAULT.parse().expect("the default is a valid schedule")
    }
}

/// Reads 1 to 20 waits separated by commas, such as `0s,1m,5m,30m,2h`. Each is a whole number followed by `s`, `m` or `h`. `what` names
/// one in faults.
pub(crate) fn parse_waits(text: &str, what: &str) -> Result<Vec<Wait>, String> {
    let waits = text.split(',').map(|wait| wait.trim().parse()).collect::<Result<Vec<Wait>, _>>();
    let waits = waits.map_err(|fault| format!("has a {what} that {fault}"))?;
    if waits.len() > STEPS_MAX {
        return Err(format!("has {} {what}s, but at most {STEPS_MAX} are allowed", waits.len()));
    }
    Ok(waits)
}

/// Reads the waits as [`parse_waits`] does.
impl FromStr for RetrySchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let waits = parse_waits(text, "wait")?;
        if waits[0].duration > FIRST_WAIT_MAX {
            return Err("has a first wait of more than 15 minutes".to_owned());
        }
        Ok(Self(waits))
    }
}

impl Wait {
    /// Returns the wait as it was written, such as `5m`.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns how long it is.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

/// Reads a whole number followed by `s`, `m` or `h`, at most 7 days.
impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault =
            || format!("must be a whole number followed by s, m or h (at most 7 days), but is '{}'", shown(text));
        let unit_s = match text.bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => return Err(fault()),
        };
        let digits = &text[..text.len() - 1];
        if !(1..=DIGITS_MAX).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(fault());
        }
        let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_s)).ok_or_else(fault)?;
        let duration = Duration::from_secs(seconds);
        if duration <= WAIT_MAX { Ok(Self { text: text.to_owned(), duration }) } else { Err(fault()) }
    }
}

/// Writes the waits separated by commas.
impl fmt::Display for RetrySchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.waits().collect::<Vec<_>>().join(","))
    }
}

impl Serialize for RetrySchedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RetrySchedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
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

    #[test]
    fn a_webhooks_schedule_has_narrower_limits() {
        let schedule = |waits: &[&str]| {
            RetrySchedule::of_webhook(waits.iter().map(|wait| wait.parse().expect("a wait")).collect())
        };
        for wrong in [
            &[][..],
            &["16m"],
            &["0s", "25h"],
            &["1s"; 11],
            &["0s", "24h", "24h", "24h", "24h", "24h", "24h", "24h", "1s"],
        ] {
            assert!(schedule(wrong).is_err(), "{wrong:?}");
        }
        let week = ["15m", "90s", "24h", "24h", "24h", "24h", "24h", "24h", "23h"];
        let written: Vec<_> = schedule(&week).expect("a schedule").waits().map(str::to_owned).collect();
        assert_eq!(written, week, "it is shown as it was written");
    }

    #[test]
    fn a_schedule_is_read_as_it_was_stored() {
        let schedule: RetrySchedule = "0s, 60s,1m".parse().expect("a schedule");
        let json = serde_json::to_string(&schedule).expect("JSON");
        assert_eq!(json, r#""0s,60s,1m""#);
        assert_eq!(serde_json::from_str::<RetrySchedule>(&json).expect("a schedule"), schedule);
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
