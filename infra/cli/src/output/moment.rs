//! Times for people: how long ago, or in how long.

use domain::time::{Clock, Timestamp};
use std::time::Duration;

/// An RFC 3339 time relative to now: `3 min ago`, `in 2 h`. Any other text is returned as it is.
pub(crate) fn relative(text: &str) -> String {
    relative_to(text, Clock::system().now())
}

fn relative_to(text: &str, now: Timestamp) -> String {
    let Ok(moment) = Timestamp::parse_rfc3339(text) else { return text.to_owned() };
    if moment > now { format!("in {}", about(moment.since(now))) } else { format!("{} ago", about(now.since(moment))) }
}

/// A duration in its largest unit, rounded down.
fn about(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The time of day of an RFC 3339 time in UTC: `10:30:00`. Any other text is returned as it is.
pub(crate) fn time_of_day(text: &str) -> String {
    match Timestamp::parse_rfc3339(text) {
        Ok(moment) => moment.to_string().chars().skip(11).take(8).collect(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_relative_to_now() {
        let now = Timestamp::parse_rfc3339("2025-02-18T10:30:00Z").expect("a time");
        for (text, shown) in [
            ("2025-02-18T10:30:00Z", "0 s ago"),
            ("2025-02-18T10:29:01Z", "59 s ago"),
            ("2025-02-18T10:28:59Z", "1 min ago"),
            ("2025-02-17T11:00:00Z", "23 h ago"),
            ("2025-02-01T11:00:00Z", "16 d ago"),
            ("2025-02-18T12:31:00Z", "in 2 h"),
            ("soon", "soon"),
        ] {
            assert_eq!(relative_to(text, now), shown);
        }
        assert_eq!(time_of_day("2025-02-18T11:30:00+01:00"), "10:30:00");
    }
}
