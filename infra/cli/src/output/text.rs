//! Texts of the server, made harmless: a URL, a name or a receiver's answer must not move the cursor, set the terminal's title,
//! or change the order in which a line is read.

use std::{borrow::Cow, fmt::Write};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a terminal may act on a character, or show it as nothing.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Makes control characters and invisible ones visible: `\n`, `\u{1b}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().flat_map(|c| {
        let escaped = is_unsafe(c).then(|| c.escape_default());
        let plain = escaped.is_none().then_some(c);
        escaped.into_iter().flatten().chain(plain)
    });
    Cow::Owned(shown.collect())
}

/// Escapes the same characters in a JSON text, which stays the same JSON. They can only be part of a string, or white space.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    let escape = |c| is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t');
    if !json.contains(escape) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if escape(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("a String takes everything");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// The columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text to a number of columns. A text that was cut ends with `…`.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut left = columns.saturating_sub(1);
    let fitting = text.chars().take_while(|c| {
        let needed = c.width().unwrap_or(0);
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    });
    let kept: String = fitting.collect();
    Cow::Owned(if columns == 0 { kept } else { kept + "…" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(visible("plain text, äöü 日本"), "plain text, äöü 日本");
        assert_eq!(visible("a\x1b[2Jb\nc\u{9b}d\u{202e}e"), "a\\u{1b}[2Jb\\nc\\u{9b}d\\u{202e}e");
    }

    #[test]
    fn json_stays_the_same_json() {
        let json = "{\"a\": \"\u{9b}31m\u{202e}\u{e0001}\",\n \"b\": 1}";
        let escaped = escaped_json(json);
        assert_eq!(escaped, "{\"a\": \"\\u009b31m\\u202e\\udb40\\udc01\",\n \"b\": 1}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(parse(json), parse(&escaped));
    }

    #[test]
    fn a_text_is_cut_by_its_columns() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 1), "…");
        assert_eq!(cut("abc", 0), "");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left_and_nothing_is_too_wide(text in any::<String>(), columns in 0..30_usize) {
            let shown = visible(&text).into_owned();
            prop_assert!(!shown.contains(is_unsafe));
            prop_assert!(width(&cut(&shown, columns)) <= columns);
        }
    }
}
