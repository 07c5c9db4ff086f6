//! Moments and the clock that tells them. The domain takes a [`Timestamp`] as a value; only [`Clock::system`] asks the
//! machine, so a test or a simulation can hand every worker a clock of its own.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment: whole milliseconds since the Unix epoch, UTC.
///
/// Shown to users with whole seconds (`2025-02-18T10:30:00Z`), stored as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The last moment that RFC 3339 can write: 9999-12-31T23:59:59Z.
const LAST_MS: i64 = 253_402_300_799_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The moment `ms` milliseconds after the Unix epoch, brought within the years 1970 to 9999.
    pub fn from_unix_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_MS))
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: what `webhook-timestamp` and DynamoDB's TTL take.
    pub fn unix_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// Reads an RFC 3339 time with any offset.
    ///
    /// # Errors
    /// A sentence for the user that says what is expected.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| "must be an RFC 3339 time such as 2025-02-18T10:30:00Z".to_owned())?;
        let ms = parsed.unix_timestamp() * 1000 + i64::from(parsed.millisecond());
        if (0..=LAST_MS).contains(&ms) { Ok(Self(ms)) } else { Err("must lie between 1970 and 9999".to_owned()) }
    }

    /// This moment and `later`, at most the year 9999.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `earlier`, at least the year 1970.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `start` this moment is; zero where it is not after it.
    pub fn since(self, start: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - start.0).unwrap_or(0))
    }

    /// This moment, or the next whole second: what a user is told of a moment to come.
    #[must_use]
    pub fn rounded_up_to_second(self) -> Self {
        Self::from_unix_ms(self.0.saturating_add(999) / 1000 * 1000)
    }
}

/// RFC 3339 in UTC with whole seconds, rounded down.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = OffsetDateTime::from_unix_timestamp(self.unix_seconds()).map_err(|_| fmt::Error)?;
        f.write_str(&shown.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// Tells the time. Cloned freely; every clone tells the same time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    pub fn system() -> Self {
        Self::new(|| {
            let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// A clock that tells what `tell` returns: simulated or shifted time.
    pub fn new(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_whole_seconds_in_utc() {
        let moment = Timestamp::parse_rfc3339("2025-02-18T11:30:00.999+01:00").expect("valid");
        assert_eq!(moment.to_string(), "2025-02-18T10:30:00Z");
        assert_eq!(moment.rounded_up_to_second().to_string(), "2025-02-18T10:30:01Z");
    }

    #[test]
    fn arithmetic_stays_within_the_years_that_can_be_written() {
        let last = Timestamp::from_unix_ms(i64::MAX);
        assert_eq!(last.plus(Duration::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(last.minus(Duration::MAX).unix_ms(), 0);
        assert_eq!(Timestamp::from_unix_ms(5).since(Timestamp::from_unix_ms(9)), Duration::ZERO);
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "yesterday", "2025-02-18", "2025-02-18 25:00:00Z", "1969-12-31T23:59:59Z"] {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }
}
