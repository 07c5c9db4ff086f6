//! The regular expressions of schemas: which are accepted.
//!
//! They are matched in linear time, so no text can make one run away. Therefore look-around and back-references do not exist.

use regex::RegexBuilder;

/// The most bytes of one compiled expression. A repetition multiplies the size: `.{1,5000}` is a small text and a large machine.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Checks that an expression can be compiled and is not too large.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    match RegexBuilder::new(&with_ascii_classes(pattern)).size_limit(COMPILED_BYTES_MAX).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Err("is too large a regular expression; use maxLength".to_owned()),
        Err(_) => Err("must be a regular expression without look-around and back-references".to_owned()),
    }
}

/// Writes out `\d` and `\w`, which in JSON Schema mean ASCII characters alone, as ECMAScript defines them.
fn with_ascii_classes(pattern: &str) -> String {
    let (mut written, mut characters) = (String::with_capacity(pattern.len()), pattern.chars());
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            (_, Some('d')) => written.push_str("[0-9]"),
            (_, Some('D')) => written.push_str("[^0-9]"),
            (_, Some('w')) => written.push_str("[A-Za-z0-9_]"),
            (_, Some('W')) => written.push_str("[^A-Za-z0-9_]"),
            (_, escaped) => {
                written.push(character);
                written.extend(escaped);
            }
        }
    }
    written
}
