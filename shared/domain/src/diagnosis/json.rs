//! JSON as other programs write it: a tree that keeps numbers as they were written, and the styles of common libraries.

use super::numbers::{Numbers, as_double, written};
use serde_json::value::RawValue;
use std::{collections::HashMap, fmt::Write};

/// A JSON value. Numbers and the order of members are as in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    /// `null`, `true` or `false`.
    Word(&'a str),
    Number(&'a str),
    String {
        raw: &'a str,
        text: String,
    },
    Array(Vec<Self>),
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member<'a> {
    raw: &'a str,
    pub(super) name: String,
    pub(super) value: Node<'a>,
}

/// How a library writes strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strings {
    /// As they were.
    Kept,
    /// With the fewest escapes.
    Plain,
    /// Every character outside ASCII as `\u00e9`.
    Ascii,
    /// As [`Self::Ascii`], with `/` as `\/`: PHP.
    AsciiAndSlash,
    /// As [`Self::Plain`], with `<`, `>`, `&` and the line separators as `\u003c`: Go.
    Html,
    /// Every character outside ASCII, and `<`, `>`, `&`, `'`, `+`, `"` and the backquote, as `\u00E9`: .NET.
    Strict,
}

/// In which order a library writes the members of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Kept,
    /// Names that are array indices first, in their order: ECMAScript.
    Js,
    Sorted,
}

/// How a library writes JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) strings: Strings,
    pub(super) numbers: Numbers,
    pub(super) order: Order,
    /// What stands after a comma, and after a colon.
    pub(super) after: (&'static str, &'static str),
    /// The spaces of one level, if every member has a line of its own.
    pub(super) indent: Option<usize>,
}

impl Style {
    /// Without white space, and otherwise as it was.
    pub(super) const COMPACT: Self =
        Self { strings: Strings::Kept, numbers: Numbers::Kept, order: Order::Kept, after: ("", ""), indent: None };
}

/// The deepest nesting that is read.
const DEPTH_MAX: usize = 128;
/// The most bytes that are written: an indentation can make a text many times longer.
const WRITTEN_MAX: usize = 1024 * 1024;

/// Reads a JSON text. Returns `None` if it is none, or is nested too deeply.
pub(super) fn parse(text: &[u8]) -> Option<Node<'_>> {
    // serde_json checks the grammar, so the reader below only has to find the parts.
    let valid: &RawValue = serde_json::from_slice(text).ok()?;
    Reader { text: valid.get(), at: 0, depth: 0 }.value()
}

/// Writes the strings of a JSON text anew, and keeps everything else as it is. Returns `None` if the text is not JSON, or would have
/// more than [`WRITTEN_MAX`] bytes.
pub(super) fn with_strings(text: &[u8], strings: Strings) -> Option<String> {
    let valid: &RawValue = serde_json::from_slice(text).ok()?;
    // White space around the value belongs to the text, but not to what serde_json keeps.
    let text = std::str::from_utf8(text).ok()?;
    let before = text.len() - text.trim_start_matches([' ', '\n', '\r', '\t']).len();
    let (mut out, end) = (text[..before].to_owned(), before + valid.get().len());
    let mut reader = Reader { text: &text[..end], at: before, depth: 0 };
    while let Some(quote) = reader.text[reader.at..].find('"') {
        out.push_str(&reader.text[reader.at..reader.at + quote]);
        reader.at += quote;
        let (raw, written) = reader.string()?;
        write_string(&mut out, raw, &written, strings);
        if out.len() > WRITTEN_MAX {
            return None;
        }
    }
    out.push_str(&text[reader.at..]);
    Some(out)
}

/// Reads a text that is known to be JSON.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space. It is not taken.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes the next byte if it is this one.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self) -> Option<Node<'a>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let value = match self.peek()? {
            b'{' => Node::Object(self.list(b'}', Self::member)?),
            b'[' => Node::Array(self.list(b']', Self::value)?),
            b'"' => {
                let (raw, text) = self.string()?;
                Node::String { raw, text }
            }
            b'-' | b'0'..=b'9' => Node::Number(self.word()),
            _ => Node::Word(self.word()),
        };
        self.depth -= 1;
        Some(value)
    }

    /// Reads the entries of an array or an object.
    fn list<T>(&mut self, end: u8, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.at += 1;
        let mut entries = vec![];
        while !self.takes(end) {
            entries.push(read(self)?);
            self.takes(b',');
        }
        Some(entries)
    }

    fn member(&mut self) -> Option<Member<'a>> {
        self.peek()?;
        let (raw, name) = self.string()?;
        self.takes(b':');
        Some(Member { raw, name, value: self.value()? })
    }

    fn string(&mut self) -> Option<(&'a str, String)> {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let raw = &rest[..end + 2];
        self.at += raw.len();
        Some((raw, serde_json::from_str(raw).ok()?))
    }

    /// Takes a number or a word.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let end = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

impl Node<'_> {
    /// Writes the value in a style. Returns `None` if that has more than [`WRITTEN_MAX`] bytes.
    pub(super) fn write(&self, style: Style) -> Option<String> {
        let mut writer = Writer { out: String::new(), style, level: 0 };
        writer.value(self);
        (writer.out.len() <= WRITTEN_MAX).then_some(writer.out)
    }

    /// Whether both are the same JSON value: numbers by their value, members in any order, the last one of each name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Word(one), Self::Word(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => {
                one == other || as_double(one).is_some_and(|double| Some(double) == as_double(other))
            }
            (Self::String { text: one, .. }, Self::String { text: other, .. }) => one == other,
            (Self::Array(one), Self::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
            }
            (Self::Object(one), Self::Object(other)) => {
                let (one, other) = (by_name(one), by_name(other));
                let has =
                    |(name, value): (&&str, &&Node<'_>)| other.get(name).is_some_and(|other| value.is_same(other));
                one.len() == other.len() && one.iter().all(has)
            }
            _ => false,
        }
    }

    /// Returns the members of an object.
    pub(super) fn members(&self) -> &[Member<'_>] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// Returns the member `name` of an object.
    pub(super) fn member(&self, name: &str) -> Option<&Node<'_>> {
        self.members().iter().rev().find(|member| member.name == name).map(|member| &member.value)
    }

    /// Returns the text of a string.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::String { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// Writes a value in a style.
struct Writer {
    out: String,
    style: Style,
    /// How deep the present value is nested.
    level: usize,
}

impl Writer {
    /// Writes a value. Once the text is too long, nothing more is written.
    fn value(&mut self, value: &Node<'_>) {
        if self.out.len() > WRITTEN_MAX {
            return;
        }
        match value {
            Node::Word(word) => self.out.push_str(word),
            Node::Number(number) => self.out.push_str(&written(number, self.style.numbers)),
            Node::String { raw, text } => write_string(&mut self.out, raw, text, self.style.strings),
            Node::Array(values) => self.list(('[', ']'), values, Self::value),
            Node::Object(members) => self.list(('{', '}'), &ordered(members, self.style.order), |writer, member| {
                write_string(&mut writer.out, member.raw, &member.name, writer.style.strings);
                writer.out.push(':');
                writer.out.push_str(writer.style.after.1);
                writer.value(&member.value);
            }),
        }
    }

    /// Writes the entries of an array or an object.
    fn list<T>(&mut self, brackets: (char, char), entries: &[T], write: impl Fn(&mut Self, &T)) {
        self.out.push(brackets.0);
        self.level += 1;
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
                self.out.push_str(self.style.after.0);
            }
            self.line();
            write(self, entry);
        }
        self.level -= 1;
        if !entries.is_empty() {
            self.line();
        }
        self.out.push(brackets.1);
    }

    /// Begins a line, if every entry has a line of its own.
    fn line(&mut self) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * self.level));
        }
    }
}

/// Returns the last value of each name.
fn by_name<'a, 'b>(members: &'b [Member<'a>]) -> HashMap<&'b str, &'b Node<'a>> {
    members.iter().map(|member| (member.name.as_str(), &member.value)).collect()
}

/// Returns the members as a library keeps them: of a name that is given twice, the first place and the last value.
fn ordered<'a, 'b>(members: &'b [Member<'a>], order: Order) -> Vec<&'b Member<'a>> {
    if order == Order::Kept {
        return members.iter().collect();
    }
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut kept: Vec<&Member<'_>> = vec![];
    for member in members {
        match places.get(member.name.as_str()) {
            Some(place) => kept[*place] = member,
            None => {
                places.insert(&member.name, kept.len());
                kept.push(member);
            }
        }
    }
    match order {
        Order::Js => kept.sort_by_key(|member| array_index(&member.name).map_or((1, 0), |index| (0, index))),
        Order::Sorted | Order::Kept => kept.sort_by(|one, other| one.name.cmp(&other.name)),
    }
    kept
}

/// Returns the number of a name that is an array index: a canonical whole number below 2^32 - 1.
fn array_index(name: &str) -> Option<u32> {
    let index: u32 = name.parse().ok()?;
    (index != u32::MAX && index.to_string() == name).then_some(index)
}

fn write_string(out: &mut String, raw: &str, text: &str, strings: Strings) {
    if strings == Strings::Kept {
        out.push_str(raw);
        return;
    }
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' if strings == Strings::Strict => out.push_str("\\u0022"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if strings == Strings::AsciiAndSlash => out.push_str("\\/"),
            _ if letter < ' ' || is_escaped(letter, strings) => write_escape(out, letter, strings),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// Whether a library writes a visible character as an escape.
fn is_escaped(letter: char, strings: Strings) -> bool {
    match strings {
        Strings::Kept | Strings::Plain => false,
        Strings::Ascii | Strings::AsciiAndSlash => letter > '~',
        Strings::Html => "<>&\u{2028}\u{2029}".contains(letter),
        Strings::Strict => letter > '~' || "<>&'+`".contains(letter),
    }
}

fn write_escape(out: &mut String, letter: char, strings: Strings) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        let written =
            if strings == Strings::Strict { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
        written.expect("a string can be written to");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PYTHON: Style = Style {
        strings: Strings::Ascii,
        numbers: Numbers::Python,
        order: Order::Kept,
        after: (" ", " "),
        indent: None,
    };
    const JS: Style = Style { strings: Strings::Plain, numbers: Numbers::Js, order: Order::Js, ..Style::COMPACT };

    fn written(text: &str, style: Style) -> String {
        parse(text.as_bytes()).expect("JSON").write(style).expect("it is short")
    }

    #[test]
    fn objects_are_written_as_other_languages_do() {
        let text = r#"{ "b":[ ],"10":{},"a": "é😀\/\u00e9\"", "2":null,"b":[1,true] }"#;
        assert_eq!(written(text, JS), r#"{"2":null,"10":{},"b":[1,true],"a":"é😀/é\""}"#);
        assert_eq!(
            written(text, Style { order: Order::Sorted, ..PYTHON }),
            r#"{"10": {}, "2": null, "a": "\u00e9\ud83d\ude00/\u00e9\"", "b": [1, true]}"#
        );
        assert_eq!(
            written(r#"{"a":[1],"b":{}}"#, Style { indent: Some(2), after: ("", " "), ..JS }),
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}"
        );
        let strings = |strings| written("\"</é'\"", Style { strings, ..JS });
        assert_eq!(strings(Strings::AsciiAndSlash), r#""<\/\u00e9'""#);
        assert_eq!(strings(Strings::Html), r#""\u003c/é'""#);
        assert_eq!(strings(Strings::Strict), r#""\u003C/\u00E9\u0027""#);
    }

    #[test]
    fn the_same_value_is_recognized_however_it_is_written() {
        let same = |one: &str, other: &str| {
            parse(one.as_bytes()).expect("JSON").is_same(&parse(other.as_bytes()).expect("JSON"))
        };
        assert!(same(r#"{"a":1.0,"b":"\u00e9"}"#, r#"{ "b": "é", "a": 1 }"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":null}"#) && !same("[1,2]", "[2,1]") && !same("1", "\"1\""));
        assert!(parse(b"{").is_none() && parse(b"").is_none() && parse(b"\xff").is_none());
    }

    #[test]
    fn strings_are_written_anew_in_their_places() {
        let text = " { \"\u{e9}\" : [1.0, \"\\u00e9\\/\"] }\n";
        let written = |strings| with_strings(text.as_bytes(), strings).expect("JSON");
        assert_eq!(written(Strings::Plain), " { \"\u{e9}\" : [1.0, \"\u{e9}/\"] }\n");
        assert_eq!(written(Strings::Ascii), " { \"\\u00e9\" : [1.0, \"\\u00e9/\"] }\n");
        assert_eq!(written(Strings::Kept), text);
        assert_eq!(with_strings(b"\"", Strings::Plain), None);
    }

    #[test]
    fn what_grows_beyond_its_bound_is_not_written() {
        let text = format!("{}{}{}", "[".repeat(100), vec!["1"; 10_000].join(","), "]".repeat(100));
        let tree = parse(text.as_bytes()).expect("JSON");
        assert_eq!(tree.write(Style { indent: Some(4), ..JS }), None);
        assert_eq!(tree.write(Style::COMPACT), Some(text));
        assert!(
            parse("[".repeat(200).as_bytes()).is_none()
                && parse(format!("{}{}", "[".repeat(127), "]".repeat(127)).as_bytes()).is_some()
        );
    }

    proptest! {
        /// Whatever serde_json writes is kept to the byte, and every style writes the same value.
        #[test]
        fn every_style_writes_the_same_value(text in "[ -~äß€😀\n]{0,20}", number: f64, whole: i64) {
            let json = serde_json::json!({ "a": text, "b": [number, whole, null, {}], "7": { &text: true } }).to_string();
            let node = parse(json.as_bytes()).expect("JSON");
            prop_assert!(node.write(Style::COMPACT).is_some_and(|written| written == json));
            for style in [JS, PYTHON, Style { strings: Strings::Strict, ..JS }, Style { indent: Some(4), ..PYTHON }] {
                let other = node.write(style).expect("it is short");
                prop_assert!(parse(other.as_bytes()).is_some_and(|other| other.is_same(&node)), "{}", other);
            }
        }
    }
}
