//! How large an answer is once Lambda carries it. No I/O here.
//!
//! Lambda returns an HTTP answer as a JSON document that holds the body as a string, so a body that is JSON is escaped a
//! second time. What counts against Lambda's limit is that escaped length, up to twice the body's own.

/// The largest body of an answer, in escaped bytes. Lambda takes 6 MB (6,291,556 bytes) for the whole document; the rest is
/// room for the headers, and for one entry's brackets and commas.
pub const ANSWER_BYTES_MAX: usize = 5_000_000;

/// How many bytes `body` takes inside a JSON string, without the quotes around it: what `serde_json` writes.
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
        fn the_escaped_length_is_what_serde_json_writes(text in r#"([\x00-\x7f]|["\\]{1,9}|.){0,200}"#) {
            let written = serde_json::to_string(&text).expect("a string is JSON");
            prop_assert_eq!(escaped_len(text.as_bytes()), written.len() - 2);
        }
    }
}
