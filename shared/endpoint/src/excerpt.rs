//! The part of a receiver's answer that is kept: the first bytes of its body, made safe to store, log and show.

/// The most text that is kept, in bytes of UTF-8.
const KEPT_BYTES: usize = 1024;

/// How much of the body is held in memory for it: twice as much, because a line break may shrink from two bytes to one, and
/// 4 bytes more, so that a character that is cut off at the end lies beyond the kept text.
const HELD_BYTES: usize = 2 * KEPT_BYTES + 4;

/// Collects the beginning of a body.
#[derive(Debug, Default)]
pub(super) struct Excerpt(Vec<u8>);

impl Excerpt {
    /// Adds the next bytes of the body. Bytes beyond the limit are dropped.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = HELD_BYTES.saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(room));
    }

    /// Returns the text: at most 1 KiB, cut between characters, with `\n` for each `\r\n`. Bytes that are not UTF-8, and
    /// characters that are not safe in a log or a terminal, become U+FFFD. Returns `None` if there was no body.
    pub(super) fn into_text(self) -> Option<String> {
        let decoded = String::from_utf8_lossy(&self.0);
        let mut text = String::new();
        let mut characters = decoded.chars().peekable();
        while let Some(character) = characters.next() {
            if character == '\r' && characters.peek() == Some(&'\n') {
                continue;
            }
            let shown = if is_safe(character) { character } else { char::REPLACEMENT_CHARACTER };
            if text.len() + shown.len_utf8() > KEPT_BYTES {
                break;
            }
            text.push(shown);
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Returns whether a character is safe to show: it cannot control a terminal or change the direction of the text around it, and
/// it ends no line, except for the line break itself.
fn is_safe(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        _ => !character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(parts: &[&[u8]]) -> Option<String> {
        let mut excerpt = Excerpt::default();
        for part in parts {
            excerpt.push(part);
        }
        excerpt.into_text()
    }

    #[test]
    fn keeps_text_and_replaces_unsafe_characters() {
        for (body, text) in [
            (&b"ok"[..], "ok"),
            (b"{\"a\":\t1}\n", "{\"a\":\t1}\n"),
            (b"a\r\nb\r\n", "a\nb\n"),
            (b"a\rb", "a\u{fffd}b"),
            (b"\x1b[31mred\x07\0", "\u{fffd}[31mred\u{fffd}\u{fffd}"),
            (b"\x7f\xc2\x9b31m", "\u{fffd}\u{fffd}31m"),
            ("a\u{2028}b\u{202e}c".as_bytes(), "a\u{fffd}b\u{fffd}c"),
            ("grüße \u{1f44b}".as_bytes(), "grüße \u{1f44b}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(kept(&[body]).as_deref(), Some(text), "{body:?}");
        }
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&[b""]), None);
    }

    #[test]
    fn cuts_between_characters() {
        let long = "x".repeat(1023) + "ü";
        assert_eq!(kept(&[long.as_bytes()]), Some("x".repeat(1023)));
        let fits = "x".repeat(1022) + "üy";
        assert_eq!(kept(&[fits.as_bytes()]), Some("x".repeat(1022) + "ü"));
        assert_eq!(kept(&["ü".as_bytes().split_at(1).0, &"ü".as_bytes()[1..]]).as_deref(), Some("ü"));
    }

    proptest::proptest! {
        #[test]
        fn any_body_becomes_a_bounded_and_safe_text(body in proptest::collection::vec(proptest::num::u8::ANY, 0..5000)) {
            let text = kept(&[&body]).unwrap_or_default();
            proptest::prop_assert!(text.len() <= KEPT_BYTES);
            proptest::prop_assert!(text.chars().all(is_safe));
        }

        #[test]
        fn the_kept_text_is_a_prefix_of_a_valid_text(body in "[a-zü\u{1f44b} \n]{0,1500}") {
            let text = kept(&[body.as_bytes()]).unwrap_or_default();
            proptest::prop_assert!(body.starts_with(&text));
            proptest::prop_assert!(text.len() == body.len() || text.len() > KEPT_BYTES - 4);
        }
    }
}
