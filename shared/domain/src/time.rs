//! Moments and clocks. The domain takes a [`Timestamp`] as a value. Only [`Clock::system`] reads the machine's clock, so
//! tests and simulations can give every worker its own clock.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// How far the clocks of two workers may differ.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// A moment, in whole milliseconds since the Unix epoch, UTC.
///
/// Users see it in whole seconds, such as `2025-02-18T10:30:00Z`. It is stored as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The last moment that RFC 3339 can write: 9999-12-31T23:59:59Z.
const LAST_MS: i64 = 253_402_300_799_000;

impl Timestamp {
    /// The Unix epoch: 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Returns the moment `ms` milliseconds after the Unix epoch, clamped to the years 1970 to 9999.
    pub fn from_unix_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_MS))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Returns the seconds since the Unix epoch, rounded down: the unit of `webhook-timestamp` and of DynamoDB's TTL.
    pub fn unix_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// Reads an RFC 3339 time with any offset.
    ///
    /// # Errors
    /// A phrase for the user.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| "must be an RFC 3339 time such as 2025-02-18T10:30:00Z".to_owned())?;
        let ms = parsed.unix_timestamp() * 1000 + i64::from(parsed.millisecond());
        if (0..=LAST_MS).contains(&ms) { Ok(Self(ms)) } else { Err("must be in the years 1970 to 9999".to_owned()) }
    }

    /// Returns the moment `later` after this one, at most the end of the year 9999.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the moment `earlier` before this one, at least the Unix epoch.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time from `start` to this moment, or zero if this moment is not later.
    pub fn since(self, start: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - start.0).unwrap_or(0))
    }

    /// Rounds up to a whole second, for a future moment that a user is shown.
    #[must_use]
    pub fn rounded_up_to_second(self) -> Self {
        Self::from_unix_ms(self.0.saturating_add(999) / 1000 * 1000)
    }
}

/// Writes RFC 3339 in UTC with whole seconds, rounded down.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = OffsetDateTime::from_unix_timestamp(self.unix_seconds()).map_err(|_| fmt::Error)?;
        f.write_str(&shown.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// The form of an optional moment in an attribute that DynamoDB reads as a time to live: whole seconds since the Unix epoch,
/// rounded down.
pub mod unix_seconds {
    use super::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the seconds.
    pub fn serialize<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        moment.map(Timestamp::unix_seconds).serialize(serializer)
    }

    /// Reads the seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let seconds: Option<i64> = Option::deserialize(deserializer)?;
        Ok(seconds.map(|seconds| Timestamp::from_unix_ms(seconds.saturating_mul(1000))))
    }
}

/// A clock. All clones show the same time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns the machine's clock.
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the machine's clock")]
    pub fn system() -> Self {
        Self::new(|| {
            let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// Creates a clock that shows what `now` returns, such as simulated or shifted time.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the present moment.
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
    fn a_moment_is_shown_in_utc_with_whole_seconds() {
        let moment = Timestamp::parse_rfc3339("2025-02-18T11:30:00.999+01:00").expect("valid");
        assert_eq!(moment.to_string(), "2025-02-18T10:30:00Z");
        assert_eq!(moment.rounded_up_to_second().to_string(), "2025-02-18T10:30:01Z");
    }

    #[test]
    fn arithmetic_stays_within_the_years_1970_to_9999() {
        let last = Timestamp::from_unix_ms(i64::MAX);
        assert_eq!(last.plus(Duration::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(last.minus(Duration::MAX).unix_ms(), 0);
        assert_eq!(Timestamp::from_unix_ms(5).since(Timestamp::from_unix_ms(9)), Duration::ZERO);
    }

    #[test]
    fn invalid_times_are_refused() {
        for text in ["", "yesterday", "2025-02-18", "2025-02-18 25:00:00Z", "1969-12-31T23:59:59Z"] {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }
}
