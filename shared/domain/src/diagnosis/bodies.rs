//! What may happen to a body between the signature and the check: forwards, what a known body may have become; and backwards, what
//! a received body may have been.

use super::{
    Code,
    change::{Candidate, Change},
    encodings::{BASE64, SingleByte, from_utf16, inflated, python_bytes, utf16},
    json::{self, Node, Order, Strings, Style},
    numbers::Numbers,
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A body that something may have happened to.
pub(super) type Body = Candidate<Vec<u8>>;

/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The most bytes of a body whose other forms are tried. A payload has at most 256 KiB and its frame.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// What Node.js and browsers show of an object.
const OBJECT_SHOWN: &str = "[object Object]";

/// How a library writes JSON, as a phrase.
struct Library {
    style: Style,
    code: Code,
    what: &'static str,
}

const fn library(code: Code, what: &'static str, style: Style) -> Library {
    Library { style, code, what }
}

const PLAIN: Style = Style { strings: Strings::Plain, ..Style::COMPACT };
const JS: Style = Style { numbers: Numbers::Js, order: Order::Js, ..PLAIN };
const PYTHON: Style = Style { strings: Strings::Ascii, numbers: Numbers::Python, after: (" ", " "), ..Style::COMPACT };

/// The libraries, the most common first.
const LIBRARIES: [Library; 18] = {
    use Code::{JsonRewritten, KeysReordered};
    let unescaped = Style { strings: Strings::Plain, ..PYTHON };
    [
        library(JsonRewritten, "without the white space between its parts", Style::COMPACT),
        library(JsonRewritten, "parsed and written anew as JSON.stringify does", JS),
        library(JsonRewritten, "parsed and written anew as Python's json.dumps does", PYTHON),
        library(
            JsonRewritten,
            "parsed and written anew as Python's json.dumps with ensure_ascii=False does",
            unescaped,
        ),
        library(
            JsonRewritten,
            "parsed and written anew as Python's json.dumps with separators=(',', ':') does",
            Style { after: ("", ""), ..PYTHON },
        ),
        library(JsonRewritten, "parsed and written anew without white space", PLAIN),
        library(JsonRewritten, "parsed and written anew without white space", Style { after: ("", ""), ..unescaped }),
        library(KeysReordered, "with its members sorted by name", Style { order: Order::Sorted, ..Style::COMPACT }),
        library(
            KeysReordered,
            "parsed and written anew as Python's json.dumps with sort_keys=True does",
            Style { order: Order::Sorted, ..PYTHON },
        ),
        library(
            KeysReordered,
            "parsed and written anew with its members sorted by name, compact and with escapes for what is outside ASCII",
            Style { order: Order::Sorted, after: ("", ""), ..PYTHON },
        ),
        library(
            KeysReordered,
            "parsed and written anew with its members sorted by name",
            Style { order: Order::Sorted, ..unescaped },
        ),
        library(
            KeysReordered,
            "parsed and written anew as Go's encoding/json writes a map",
            Style { strings: Strings::Html, order: Order::Sorted, ..JS },
        ),
        library(
            KeysReordered,
            "parsed and written anew with its members sorted by name",
            Style { order: Order::Sorted, ..JS },
        ),
        library(
            JsonRewritten,
            "parsed and written anew as PHP's json_encode does",
            Style { strings: Strings::AsciiAndSlash, after: ("", ""), ..PYTHON },
        ),
        library(
            JsonRewritten,
            "parsed and written anew as System.Text.Json of .NET does",
            Style { strings: Strings::Strict, ..Style::COMPACT },
        ),
        library(
            JsonRewritten,
            "parsed and written anew as JSON.stringify with an indentation of 2 does",
            Style { indent: Some(2), after: ("", " "), ..JS },
        ),
        library(
            JsonRewritten,
            "parsed and written anew as Python's json.dumps with indent=2 does",
            Style { indent: Some(2), after: ("", " "), ..PYTHON },
        ),
        library(
            JsonRewritten,
            "parsed and written anew as Python's json.dumps with indent=4 does",
            Style { indent: Some(4), after: ("", " "), ..PYTHON },
        ),
    ]
};

/// The members of Hookline's payloads, in their order.
const MEMBERS: [&str; 5] = ["id", "type", "created_at", "data", "previous_data"];

/// Collects candidates that differ from `known` and from each other.
struct Collected<'a> {
    known: &'a [u8],
    all: Vec<Body>,
}

impl Collected<'_> {
    fn add(&mut self, code: Code, what: &'static str, body: impl Into<Vec<u8>>) {
        let body = body.into();
        if body != self.known && self.all.iter().all(|other| other.value != body) {
            self.all.push(Candidate::changed(body, Change::new(code, what)));
        }
    }

    fn add_if(&mut self, code: Code, what: &'static str, body: Option<String>) {
        if let Some(body) = body {
            self.add(code, what, body);
        }
    }
}

/// Returns what may have become of a body: what a receiver may have checked in its place. At most 40 bodies, none much longer than six
/// times the known one.
pub(super) fn forwards(known: &[u8]) -> Vec<Body> {
    let mut found = Collected { known, all: vec![] };
    around(&mut found, true);
    if known.len() > BODY_BYTES_MAX {
        return found.all;
    }
    let undone = "with the escapes in its strings undone";
    found.add_if(Code::EscapesChanged, undone, json::with_strings(known, Strings::Plain));
    let escaped = "with its characters outside ASCII as escapes such as \\u00e9";
    found.add_if(Code::EscapesChanged, escaped, json::with_strings(known, Strings::Ascii));
    if let Some(tree) = json::parse(known) {
        for Library { style, code, what } in LIBRARIES {
            found.add_if(code, what, tree.write(style));
        }
    }
    if let Ok(text) = std::str::from_utf8(known) {
        found.add(Code::JsonQuoted, "as a JSON string", serde_json::to_string(text).unwrap_or_default());
        forwards_in_charsets(&mut found, text);
    }
    found.add(Code::BodyBase64, "encoded in base64", STANDARD.encode(known));
    for (what, shown) in [
        ("after it was parsed and turned into text: [object Object]", OBJECT_SHOWN.to_owned()),
        ("as Python shows bytes that were not decoded: b'…'", python_bytes(known)),
        ("as 'undefined'", "undefined".to_owned()),
        ("as 'null'", "null".to_owned()),
        ("as 'None'", "None".to_owned()),
        ("as '{}'", "{}".to_owned()),
    ] {
        found.add(Code::BodyNotRaw, what, shown);
    }
    found.add(Code::BodyTruncated, "with nothing in it", "");
    found.all
}

/// What character encodings may have made of a text.
fn forwards_in_charsets(found: &mut Collected<'_>, text: &str) {
    if text.is_ascii() {
        return;
    }
    for (encoding, doubled, written) in [
        (SingleByte::Latin1, "read as ISO-8859-1 and written as UTF-8", "written in ISO-8859-1"),
        (SingleByte::Windows1252, "read as windows-1252 and written as UTF-8", "written in windows-1252"),
    ] {
        found.add(Code::CharsetChanged, doubled, encoding.decode(text.as_bytes()));
        if let Some(bytes) = encoding.encode(text) {
            found.add(Code::CharsetChanged, written, bytes);
        }
    }
    let replaced =
        |with: char| text.chars().map(|letter| if letter.is_ascii() { letter } else { with }).collect::<String>();
    found.add(Code::CharsetChanged, "with a question mark for each character outside ASCII", replaced('?'));
    found.add(
        Code::CharsetChanged,
        "with a replacement character for each character outside ASCII",
        replaced('\u{fffd}'),
    );
    let bytes = |byte: u8| if byte.is_ascii() { char::from(byte) } else { '\u{fffd}' };
    let each: String = text.bytes().map(bytes).collect();
    found.add(Code::CharsetChanged, "read as ASCII, with a replacement character for each other byte", each);
    let dropped: String = text.chars().filter(char::is_ascii).collect();
    found.add(Code::CharsetChanged, "without its characters outside ASCII", dropped);
}

/// What an editor, a tool or a framework changes at the ends and in the line breaks of a body; or, backwards, what was there before.
fn around(found: &mut Collected<'_>, forwards: bool) {
    let known = found.known;
    let (added, removed) = (Code::TrailingNewlineAdded, Code::TrailingNewlineRemoved);
    let (when_longer, when_shorter) = if forwards { (added, removed) } else { (removed, added) };
    let phrase = |code: Code| match code {
        Code::TrailingNewlineAdded => "with a line break added at its end",
        _ => "without the line break at its end",
    };
    for ending in ["\n", "\r\n"] {
        found.add(when_longer, phrase(when_longer), [known, ending.as_bytes()].concat());
    }
    for ending in [&b"\r\n"[..], b"\n"] {
        if let Some(shorter) = known.strip_suffix(ending) {
            found.add(when_shorter, phrase(when_shorter), shorter);
        }
    }
    let (trimmed, white) = (known.trim_ascii(), Code::WhiteSpaceChanged);
    found.add(
        white,
        if forwards { "without the white space around it" } else { "with white space around it" },
        trimmed,
    );
    let unix = without_carriage_returns(known);
    let [to_lf, to_crlf] =
        ["with its line breaks changed from CRLF to LF", "with its line breaks changed from LF to CRLF"];
    let (when_unix, when_dos) = if forwards { (to_lf, to_crlf) } else { (to_crlf, to_lf) };
    found.add(Code::LineBreaksChanged, when_dos, with_carriage_returns(&unix));
    found.add(Code::LineBreaksChanged, when_unix, unix);
    if forwards {
        found.add(Code::BomAdded, "with a byte order mark before it", [BOM, known].concat());
    } else if let Some(rest) = known.strip_prefix(BOM) {
        found.add(Code::BomAdded, "with a byte order mark before it", rest);
    }
}

/// Returns what a received body may have been: what may have been signed in its place. At most 40 bodies.
pub(super) fn backwards(received: &[u8]) -> Vec<Body> {
    let mut found = Collected { known: received, all: vec![] };
    around(&mut found, false);
    if received.len() > BODY_BYTES_MAX {
        return found.all;
    }
    if let Some(body) = inflated(received) {
        found.add(Code::BodyCompressed, "still compressed", body);
    }
    if let Ok(body) = BASE64.decode(received.trim_ascii()) {
        found.add(Code::BodyBase64, "still encoded in base64", body);
    }
    if let Ok(inner) = serde_json::from_slice::<String>(received) {
        found.add(Code::JsonQuoted, "as a JSON string", inner);
    }
    backwards_in_charsets(&mut found);
    if let Some(tree) = json::parse(received) {
        backwards_in_json(&mut found, &tree);
    }
    found.all
}

/// What the body was before it was read in one character encoding and written in another.
fn backwards_in_charsets(found: &mut Collected<'_>) {
    let text = std::str::from_utf8(found.known);
    for (encoding, doubled, written) in [
        (SingleByte::Latin1, "read as ISO-8859-1 and written as UTF-8", "written in ISO-8859-1"),
        (SingleByte::Windows1252, "read as windows-1252 and written as UTF-8", "written in windows-1252"),
    ] {
        match text {
            Ok(text) if text.is_ascii() => {}
            Ok(text) => {
                if let Some(bytes) = encoding.encode(text) {
                    found.add(Code::CharsetChanged, doubled, bytes);
                }
            }
            Err(_) => found.add(Code::CharsetChanged, written, encoding.decode(found.known)),
        }
    }
    if found.known.contains(&0) {
        for (big_endian, what) in
            [(false, "written in UTF-16 (low byte first)"), (true, "written in UTF-16 (high byte first)")]
        {
            if let Some(text) = from_utf16(found.known, big_endian) {
                found.add(Code::CharsetChanged, what, text);
            }
        }
    }
}

/// What the body was before it was parsed and written anew. The publisher's own objects may have had any form; these are the common
/// ones.
fn backwards_in_json(found: &mut Collected<'_>, tree: &Node<'_>) {
    const ANEW: &str = "parsed and written anew: it is the same JSON in another form";
    const ESCAPED: &str = "with other escapes in its strings";
    const ORDERED: &str = "with its members in another order";
    for strings in [Strings::Plain, Strings::Ascii, Strings::AsciiAndSlash] {
        found.add_if(Code::EscapesChanged, ESCAPED, json::with_strings(found.known, strings));
    }
    let ascii = Style { strings: Strings::Ascii, ..Style::COMPACT };
    found.add_if(Code::JsonRewritten, ANEW, tree.write(Style::COMPACT));
    for style in [PLAIN, ascii, Style { strings: Strings::AsciiAndSlash, ..Style::COMPACT }] {
        found.add_if(Code::JsonRewritten, ANEW, tree.write(style));
    }
    let inner = [Style::COMPACT, PLAIN, ascii].map(|style| [style, Style { after: (" ", " "), ..style }]);
    for inner in inner.into_iter().flatten() {
        if let Some((body, is_reordered)) = as_payload(tree, inner) {
            let (code, what) = if is_reordered { (Code::KeysReordered, ORDERED) } else { (Code::JsonRewritten, ANEW) };
            found.add(code, what, body);
        }
    }
}

/// Writes a payload as Hookline does: its own members in their order, without white space, and the publisher's objects in the style
/// that they had. Also says whether the members were in another order.
fn as_payload(tree: &Node<'_>, inner: Style) -> Option<(String, bool)> {
    let names: Vec<_> = tree.members().iter().map(|member| member.name.as_str()).collect();
    let is_data = tree.member("data")?.members().len() == 1;
    if names.len() != MEMBERS.len() || !is_data {
        return None;
    }
    let own = |name: &str| tree.member(name).and_then(|value| value.write(Style { numbers: Numbers::Kept, ..PLAIN }));
    let body = format!(
        r#"{{"id":{},"type":{},"created_at":{},"data":{{"object":{}}},"previous_data":{}}}"#,
        own("id")?,
        own("type")?,
        own("created_at")?,
        tree.member("data")?.member("object")?.write(inner)?,
        tree.member("previous_data")?.write(inner)?,
    );
    Some((body, names != MEMBERS))
}

/// Returns the bodies in UTF-16 that a text may have become.
pub(super) fn in_utf16(known: &[u8]) -> Vec<Body> {
    let Ok(text) = std::str::from_utf8(known) else { return vec![] };
    let all = [false, true].into_iter().flat_map(|mark| [false, true].map(|big_endian| utf16(text, mark, big_endian)));
    all.map(|body| Candidate::changed(body, Change::new(Code::CharsetChanged, "written in UTF-16"))).collect()
}

fn without_carriage_returns(body: &[u8]) -> Vec<u8> {
    let next = body.iter().skip(1).map(Some).chain([None]);
    let kept = body.iter().zip(next).filter(|(byte, next)| **byte != b'\r' || *next != Some(&b'\n'));
    kept.map(|(byte, _)| *byte).collect()
}

fn with_carriage_returns(unix: &[u8]) -> Vec<u8> {
    unix.iter()
        .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = r#"{"id":"evt_1","type":"a.b","created_at":"2025-02-18T10:30:00Z","data":{"object":{"é": 1.0}},"previous_data":null}"#;

    fn codes(found: &[Body], wanted: &[u8]) -> Vec<Code> {
        let same = found.iter().filter(|body| body.value == wanted);
        same.map(|body| body.changes[0].code).collect()
    }

    /// Each change, made forwards, is found backwards under the same code, unless it lost something.
    #[test]
    fn what_is_found_forwards_is_found_backwards() {
        let known = PAYLOAD.as_bytes();
        let found = forwards(known);
        assert!((25..=40).contains(&found.len()), "{}", found.len());
        let lossless = |body: &&Body| {
            let what = &*body.changes[0].what;
            let lost =
                ["question", "replacement", "outside ASCII", "JSON.stringify", "Go's", "nothing", "'null'", "'{}'"];
            body.changes[0].code != Code::BodyNotRaw && !lost.iter().any(|lost| what.contains(lost))
        };
        let mut compared = 0;
        for body in found.iter().filter(lossless) {
            let back = codes(&backwards(&body.value), known);
            let is_json =
                [Code::JsonRewritten, Code::EscapesChanged, Code::KeysReordered].contains(&body.changes[0].code);
            if back.is_empty() && body.changes[0].what.contains("sorted") {
                continue;
            }
            assert_eq!(back.len(), 1, "{:?}", body.changes);
            assert!(is_json || back[0] == body.changes[0].code, "{:?} {back:?}", body.changes);
            compared += 1;
        }
        assert!(compared > 12, "{compared}");
    }

    #[test]
    fn line_breaks_and_white_space_are_put_back() {
        let found = |saved: &str, original: &str| codes(&backwards(saved.as_bytes()), original.as_bytes());
        assert_eq!(found("{}\n", "{}"), [Code::TrailingNewlineAdded]);
        assert_eq!(found("{}\r\n", "{}"), [Code::TrailingNewlineAdded]);
        assert_eq!(found("{}", "{}\n"), [Code::TrailingNewlineRemoved]);
        assert_eq!(found(" {}", "{}"), [Code::WhiteSpaceChanged]);
        assert_eq!(found("{\r\n}", "{\n}"), [Code::LineBreaksChanged]);
        assert_eq!(found("{\n}", "{\r\n}"), [Code::LineBreaksChanged]);
        assert_eq!(found("{ \"a b\" : \"\\\" c\" }", "{\"a b\":\"\\\" c\"}"), [Code::JsonRewritten]);
        assert_eq!(found(r#"{"a":"\u00e9"}"#, r#"{"a":"é"}"#), [Code::EscapesChanged]);
        assert!(backwards(b"{}").iter().all(|one| one.value != b"{}"));
    }

    #[test]
    fn utf16_is_found_backwards() {
        for body in in_utf16(PAYLOAD.as_bytes()) {
            assert_eq!(codes(&backwards(&body.value), PAYLOAD.as_bytes()), [Code::CharsetChanged]);
        }
    }
}
