//! Arguments that several commands take: JSON, times, headers, patterns of event types.

use crate::usage::UsageError;
use domain::time::{Clock, Timestamp};
use serde_json::value::RawValue;
use std::{
    fs::File,
    io::{self, Read},
    str::FromStr,
    time::Duration,
};

/// The most bytes of a file or of stdin. A batch has at most 2.5 MiB.
const BYTES_MAX: u64 = 4 << 20;

/// JSON on the command line, or where it is: a file, or `-` for stdin.
#[derive(Clone, Debug)]
pub(crate) enum JsonArgument {
    /// The JSON itself.
    Inline(String),
    /// A file's name.
    File(String),
    /// Stdin.
    Stdin,
}

impl FromStr for JsonArgument {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim_start();
        Ok(match trimmed.as_bytes().first() {
            Some(b'{' | b'[' | b'"') => Self::Inline(text.to_owned()),
            _ if text == "-" => Self::Stdin,
            _ => Self::File(text.strip_prefix('@').unwrap_or(text).to_owned()),
        })
    }
}

impl JsonArgument {
    /// Reads the JSON. `option` is named in faults.
    pub(crate) fn read(&self, option: &str) -> Result<Box<RawValue>, UsageError> {
        let unreadable =
            |place: &str, error: io::Error| UsageError::new(format!("{option}: cannot read {place}: {error}"));
        let (place, text) = match self {
            Self::Inline(text) => ("the value".to_owned(), text.clone()),
            Self::File(name) => {
                let file = File::open(name).map_err(|error| unreadable(name, error))?;
                (name.clone(), read_text(file).map_err(|error| unreadable(name, error))?)
            }
            Self::Stdin => ("stdin".to_owned(), read_text(io::stdin()).map_err(|error| unreadable("stdin", error))?),
        };
        let json = serde_json::from_str::<Box<RawValue>>(text.trim());
        json.map_err(|error| UsageError::new(format!("{option}: {place} is not JSON: {error}")))
    }
}

/// Reads a file or stdin to its end, up to the limit.
pub(crate) fn read_whole(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    source.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Reads a UTF-8 text up to the limit.
fn read_text(source: impl Read) -> io::Result<String> {
    String::from_utf8(read_whole(source)?).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// A moment: an RFC 3339 time, or how long ago it was (`30m`, `2h`, `7d`).
#[derive(Clone, Debug)]
pub(crate) struct Moment(pub(crate) String);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = duration(text) {
            return Ok(Self(Clock::system().now().minus(ago).to_string()));
        }
        match Timestamp::parse_rfc3339(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(fault) => Err(format!("{fault}, or a time ago such as 30m, 2h or 7d")),
        }
    }
}

/// Where a poll begins: `now`, `start`, or a moment.
#[derive(Clone, Debug)]
pub(crate) enum Beginning {
    /// What appears from now on.
    Now,
    /// The oldest event that is kept.
    Start,
    /// That moment.
    Moment(Moment),
}

impl Beginning {
    /// As the API takes it.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Now => "now".to_owned(),
            Self::Start => "start".to_owned(),
            Self::Moment(Moment(text)) => text,
        }
    }
}

impl FromStr for Beginning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(Self::Now),
            "start" => Ok(Self::Start),
            time => {
                time.parse().map(Self::Moment).map_err(|fault| format!("must be now, start, or a time: it {fault}"))
            }
        }
    }
}

/// Reads a whole number with its unit.
fn duration(text: &str) -> Option<Duration> {
    let unit_s = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(unit_s)?))
}

/// A header line, `Name: value`.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("must be a header line such as 'X-Api-Key: secret'")?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let argument: JsonArgument = text.parse().expect("every text is an argument");
        argument.read("--data").map(|json| json.get().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_given_directly_or_in_a_file_and_kept_as_it_is() {
        assert_eq!(read(r#" {"b": 1.10, "a": 2} "#), Ok(r#"{"b": 1.10, "a": 2}"#.to_owned()));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("data.json").display().to_string();
        std::fs::write(&file, "{\"a\": [1]}\n").expect("written");
        for text in [file.clone(), format!("@{file}")] {
            assert_eq!(read(&text), Ok(r#"{"a": [1]}"#.to_owned()));
        }
    }

    #[test]
    fn a_fault_names_the_option_and_the_place() {
        let fault = read("{\"a\": }").expect_err("no JSON");
        assert!(fault.starts_with("--data: the value is not JSON: expected value at line 1"), "{fault}");
        let fault = read("missing.json").expect_err("no file");
        assert!(fault.starts_with("--data: cannot read missing.json:"), "{fault}");
    }

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let moment: Moment = "2025-02-18T10:30:00+01:00".parse().expect("a time");
        assert_eq!(moment.0, "2025-02-18T10:30:00+01:00", "the server reads it");
        let ago = Timestamp::parse_rfc3339(&"2h".parse::<Moment>().expect("a time").0).expect("RFC 3339");
        let since = Clock::system().now().since(ago).as_secs();
        assert!((7200..7300).contains(&since), "{since}");
        for wrong in ["yesterday", "2w", "h", "", "99999999999999999999d", "2025-02-18"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
