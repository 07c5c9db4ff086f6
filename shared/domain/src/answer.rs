//! The size of an HTTP answer in Lambda's response.
//!
//! Lambda returns an HTTP answer as a JSON document that contains the body as a string, so a JSON body is escaped a second
//! time. The escaped length counts against Lambda's limit. It can be twice the length of the body.

/// The largest body of an answer, in escaped bytes. Lambda accepts 6 MB (6,291,556 bytes) for the whole document. The rest is
/// for the headers, and for the brackets and commas around entries.
pub const ANSWER_BYTES_MAX: usize = 5_000_000;

/// Returns the length of `body` inside a JSON string as `serde_json` writes it, in bytes, without the quotes around it.
pub fn escaped_len(body: &[u8]) -> usize {
    body.iter()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0x00..=0x1f => 6,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_escaped_length_is_that_of_serde_json(text in r#"([\x00-\x7f]|["\\]{1,9}|.){0,200}"#) {
            let written = serde_json::to_string(&text).expect("a string is JSON");
            prop_assert_eq!(escaped_len(text.as_bytes()), written.len() - 2);
        }
    }
}
