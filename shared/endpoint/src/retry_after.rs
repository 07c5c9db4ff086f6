//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or an HTTP date in any of its three formats. Any other value is ignored,
//! so that a receiver cannot upset the retry schedule with it.

use domain::time::Timestamp;
use http::{HeaderMap, header::RETRY_AFTER};
use time::{Date, Month, PrimitiveDateTime, Time};

/// When the receiver asks to be tried again. The value is not clamped: the caller decides how much of the wait to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// This many seconds after the answer.
    Seconds(u64),
    /// At this moment, which may be in the past.
    At(Timestamp),
}

impl RetryAfter {
    /// Reads the header. Returns `None` if it is absent, repeated, negative or unreadable.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(RETRY_AFTER).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.to_str().ok()?.trim())
    }

    fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // However large the number is, the caller limits the wait.
            return Some(Self::Seconds(text.parse().unwrap_or(u64::MAX)));
        }
        parse_http_date(text).map(Self::At)
    }
}

/// Reads an HTTP date (RFC 9110, section 5.6.7). It does not check the name of the day, which adds no information.
fn parse_http_date(text: &str) -> Option<Timestamp> {
    let mut words = [""; 6];
    let mut count = 0;
    for word in text.split_ascii_whitespace() {
        *words.get_mut(count)? = word;
        count += 1;
    }
    let (day, month, year, clock) = match (words, count) {
        // Sun, 06 Nov 1994 08:49:37 GMT
        ([name, day, month, year, clock, "GMT"], 6) if name.ends_with(',') => (day, month, number(year, 4)?, clock),
        // Sunday, 06-Nov-94 08:49:37 GMT
        ([name, date, clock, "GMT", ..], 4) if name.ends_with(',') => {
            let mut parts = date.splitn(3, '-');
            let (day, month, year) = (parts.next()?, parts.next()?, number(parts.next()?, 2)?);
            (day, month, if year < 70 { 2000 + year } else { 1900 + year }, clock)
        }
        // Sun Nov  6 08:49:37 1994
        ([_, month, day, clock, year, ..], 5) => (day, month, number(year, 4)?, clock),
        _ => return None,
    };
    let date =
        Date::from_calendar_date(i32::from(year), parse_month(month)?, u8::try_from(number(day, 2)?).ok()?).ok()?;
    let moment = PrimitiveDateTime::new(date, parse_clock(clock)?).assume_utc().unix_timestamp();
    (moment >= 0).then(|| Timestamp::from_unix_ms(moment * 1000))
}

fn parse_clock(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':').map(|part| u8::try_from(number(part, 2)?).ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    // A leap second is written as :60.
    Time::from_hms(hour, minute, if second == 60 { 59 } else { second }).ok()
}

fn parse_month(text: &str) -> Option<Month> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let index = MONTHS.iter().position(|name| *name == text)?;
    Month::try_from(u8::try_from(index + 1).ok()?).ok()
}

/// Reads a number of at most `max_digits` digits and nothing else.
fn number(text: &str, max_digits: usize) -> Option<u16> {
    let is_plain = text.len() <= max_digits && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&str]) -> Option<RetryAfter> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        RetryAfter::from_headers(&headers)
    }

    #[test]
    fn reads_seconds() {
        for (text, seconds) in [("0", 0), ("120", 120), (" 120 ", 120), ("007", 7), ("31622400", 31_622_400)] {
            assert_eq!(read(&[text]), Some(RetryAfter::Seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn reads_dates_in_all_three_formats() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Xxx, 6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(&[text]), Some(RetryAfter::At(Timestamp::from_unix_ms(784_111_777_000))), "{text}");
        }
        let shown = |text| match read(&[text]) {
            Some(RetryAfter::At(moment)) => moment.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(shown("Wed, 31 Dec 9999 23:59:59 GMT"), "9999-12-31T23:59:59Z");
        assert_eq!(shown("Thursday, 01-Jan-26 00:00:00 GMT"), "2026-01-01T00:00:00Z");
        assert_eq!(shown("Sat, 31 Dec 2016 23:59:60 GMT"), "2016-12-31T23:59:59Z");
    }

    #[test]
    fn invalid_values_are_ignored() {
        for values in [
            &[][..],
            &[""],
            &["-1"],
            &["+5"],
            &["1.5"],
            &["1e3"],
            &["0x10"],
            &["120s"],
            &["120, 240"],
            &["120", "120"],
            &["\u{ff11}\u{ff12}"],
            &["soon"],
            &["2025-02-18T10:30:00Z"],
            &["Sun, 06 Nov 1994 08:49:37 PST"],
            &["Sun, 06 Nov 1994 08:49:37 +0000"],
            &["Sun, 31 Feb 2025 08:49:37 GMT"],
            &["Sun, 06 Nov 1994 24:49:37 GMT"],
            &["Sun, 06 Nov 99999 08:49:37 GMT"],
            &["Sun, 06 Nov -994 08:49:37 GMT"],
            &["Sun, +6 Nov 1994 08:49:37 GMT"],
            &["Sun, 06 Nov 1969 08:49:37 GMT"],
            &["Sun, 06 Nov 1994 08:49 GMT"],
            &["Sun, 06 Nov 1994 08:49:37:11 GMT"],
            &["Sun, 06 Nov 1994 08:49:37 GMT GMT"],
            &["Sunday, 06-Nov-94-11 08:49:37 GMT"],
            &["Sun Nov  6 08:49:37 1994 GMT"],
        ] {
            assert_eq!(read(values), None, "{values:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = RetryAfter::parse(&text);
        }
    }
}
