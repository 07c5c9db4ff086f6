//! The trace of a publication: the header `traceparent` of W3C Trace Context, which Hookline passes on to receivers.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The length of the parts that every version has: `00-` 32 digits `-` 16 digits `-` 2 digits.
const LEN: usize = 55;
/// Where the ids of the trace and of the caller's span are, and the flags.
const TRACE_ID: std::ops::Range<usize> = 3..35;
const PARENT_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;

/// A valid `traceparent` of version 00 (<https://www.w3.org/TR/trace-context/#traceparent-header>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent(String);

/// A text is no `traceparent`. The standard wants it to be ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATraceParent;

impl TraceParent {
    /// Returns the id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.0[TRACE_ID]
    }

    /// Returns the value of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NotATraceParent;
    fn try_from(text: String) -> Result<Self, NotATraceParent> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.0
    }
}

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    /// Reads the value of the header. Of a later version, the parts that version 00 knows are read, and become version 00: what the
    /// other parts and flags mean is unknown.
    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let bytes = text.as_bytes();
        let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_id = |part: &[u8]| is_hex(part) && part.iter().any(|byte| *byte != b'0');
        let is_known = bytes.len() >= LEN
            && is_hex(&bytes[..2])
            && [2, 35, 52].iter().all(|dash| bytes[*dash] == b'-')
            && is_id(&bytes[TRACE_ID])
            && is_id(&bytes[PARENT_ID])
            && is_hex(&bytes[FLAGS]);
        if !is_known {
            return Err(NotATraceParent);
        }
        match &bytes[..2] {
            b"00" if bytes.len() == LEN => Ok(Self(text.to_owned())),
            b"00" | b"ff" => Err(NotATraceParent),
            _ if bytes.len() > LEN && bytes[LEN] != b'-' => Err(NotATraceParent),
            _ => {
                // The lowest bit of the flags says whether the caller samples the trace.
                let is_sampled = u8::from_str_radix(&text[FLAGS], 16).is_ok_and(|flags| flags & 1 == 1);
                Ok(Self(format!("00{}-0{}", &text[2..PARENT_ID.end], u8::from(is_sampled))))
            }
        }
    }
}

impl fmt::Display for NotATraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no traceparent of W3C Trace Context")
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_value_is_kept_as_it_is() {
        for valid in [VALID, &VALID.replace("-01", "-00"), &VALID.replace("-01", "-ff")] {
            let parsed: TraceParent = valid.parse().expect("valid");
            assert_eq!((parsed.as_str(), parsed.trace_id(), parsed.to_string().as_str()), (valid, TRACE, valid));
        }
    }

    #[test]
    fn what_the_standard_calls_invalid_is_refused() {
        for invalid in [
            "",
            "00",
            &VALID[..54],
            &format!("{VALID}-"),
            &format!("{VALID}-more"),
            &VALID.to_uppercase(),
            &VALID.replacen("00-", "ff-", 1),
            &VALID.replacen("00-", "0g-", 1),
            &VALID.replace(TRACE, &"0".repeat(32)),
            &VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            &VALID.replace("-01", "-0x"),
            &VALID.replace('-', "_"),
            &format!(" {VALID}"),
            &format!("cc-{}x", &VALID[3..]),
            &format!("{}é-01", &VALID[..50]),
        ] {
            assert_eq!(invalid.parse::<TraceParent>(), Err(NotATraceParent), "{invalid}");
        }
    }

    #[test]
    fn a_later_version_is_passed_on_as_version_00_with_the_flag_that_it_knows() {
        for (flags, expected) in [("01", "01"), ("03", "01"), ("fe", "00")] {
            let later = format!("cc-{}-{flags}", &VALID[3..52]);
            for later in [later.clone(), format!("{later}-what-the-future-will-be")] {
                let parsed: TraceParent = later.parse().expect("valid");
                assert_eq!(parsed.as_str(), format!("{}-{expected}", &VALID[..52]));
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_read_again(text in "([0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?|.{50,60})") {
            if let Ok(parsed) = text.parse::<TraceParent>() {
                prop_assert_eq!(parsed.as_str().parse(), Ok(parsed.clone()));
            }
        }
    }
}
