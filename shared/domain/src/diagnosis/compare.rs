//! The received body beside the stored one, whose bytes are known.

use super::{
    Code,
    bodies::{backwards, forwards, in_utf16},
    change::Change,
    json,
};
use std::collections::HashMap;

/// Returns what made `received` of `stored`. Nothing if they are equal.
pub(super) fn changes(stored: &[u8], received: &[u8]) -> Vec<Change> {
    if stored == received {
        return vec![];
    }
    explained(stored, received).unwrap_or_else(|| vec![unexplained(stored, received)])
}

/// One known change, or two: one that the receiver's own code makes, and one on the way or in an editor.
fn explained(stored: &[u8], received: &[u8]) -> Option<Vec<Change>> {
    let mut became = forwards(stored);
    became.extend(in_utf16(stored));
    // An empty body is a cut one, and that it is empty is said there.
    became.retain(|body| !body.value.is_empty());
    if let Some(body) = became.iter().find(|body| body.value == received) {
        return Some(body.changes.clone());
    }
    let was = backwards(received);
    if let Some(body) = was.iter().find(|body| body.value == stored) {
        return Some(body.changes.clone());
    }
    let became: HashMap<_, _> = became.iter().map(|body| (&body.value, &body.changes)).collect();
    let both = was.iter().find_map(|body| Some((became.get(&body.value)?, &body.changes)));
    both.map(|(first, second)| first.iter().chain(second).cloned().collect())
}

/// What can be said of a body that no known change explains.
fn unexplained(stored: &[u8], received: &[u8]) -> Change {
    let sizes = format!("{} of {} bytes", received.len(), stored.len());
    if received.is_empty() {
        return Change::new(Code::BodyTruncated, "with nothing in it. Something may have read it before");
    }
    if stored.starts_with(received) {
        return Change::new(Code::BodyTruncated, format!("cut at its end: {sizes}"));
    }
    if stored.ends_with(received) {
        return Change::new(Code::BodyTruncated, format!("without its beginning: {sizes}"));
    }
    let more = received.len().saturating_sub(stored.len());
    if received.starts_with(stored) {
        return Change::new(Code::BodyExtended, format!("with {more} bytes added after byte {}", stored.len()));
    }
    if received.ends_with(stored) {
        return Change::new(Code::BodyExtended, format!("with {more} bytes added before it"));
    }
    let at = first_difference(stored, received);
    let byte = |body: &[u8]| body.get(at).map_or("the end".to_owned(), |byte| format!("{byte:#04x}"));
    let place =
        format!("the first different byte is byte {at}: {} was sent, {} received", byte(stored), byte(received));
    let same = json::parse(stored).zip(json::parse(received)).filter(|(stored, received)| stored.is_same(received));
    match same {
        Some(_) => {
            Change::new(Code::JsonRewritten, format!("parsed and written anew: the same JSON in another form; {place}"))
        }
        None => Change::new(Code::BodyChanged, format!("with other content: {place}")),
    }
}

/// The place of the first byte that differs, counted from 0.
fn first_difference(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = r#"{"id":"evt_1","data":{"object":{"name":"Nom é","price":1.50}}}"#;

    #[track_caller]
    fn expect(received: &[u8], codes: &[Code], says: &str) {
        let found = changes(STORED.as_bytes(), received);
        assert_eq!(found.iter().map(|change| change.code).collect::<Vec<_>>(), codes, "{found:?}");
        assert!(found.iter().any(|change| change.what.contains(says)), "{says}: {found:?}");
    }

    #[test]
    fn what_made_the_received_body_is_named() {
        let js = r#"{"id":"evt_1","data":{"object":{"name":"Nom é","price":1.5}}}"#;
        let python = r#"{"id": "evt_1", "data": {"object": {"name": "Nom \u00e9", "price": 1.5}}}"#;
        let by_hand = r#"{"data":{"object":{"price":1.5,"name":"Nom é"}}, "id" : "evt_1"}"#;
        let text = |text: &str| text.as_bytes().to_vec();
        assert!(changes(STORED.as_bytes(), STORED.as_bytes()).is_empty());
        for (received, codes, says) in [
            (text(js), &[Code::JsonRewritten][..], "JSON.stringify"),
            (text(python), &[Code::JsonRewritten], "json.dumps"),
            (text(&format!("{python}\n")), &[Code::JsonRewritten, Code::TrailingNewlineAdded], "line break"),
            (text(by_hand), &[Code::JsonRewritten], "the same JSON in another form"),
            (text(&STORED[..20]), &[Code::BodyTruncated], "20 of 63 bytes"),
            (text(&STORED[20..]), &[Code::BodyTruncated], "without its beginning"),
            (vec![], &[Code::BodyTruncated], "nothing in it"),
            (text(&format!("{STORED}&x=1")), &[Code::BodyExtended], "4 bytes added after byte 63"),
            (text(&format!("body={STORED}")), &[Code::BodyExtended], "5 bytes added before"),
            (text(&STORED.replace("1.50", "1.51")), &[Code::BodyChanged], "byte 59: 0x30 was sent, 0x31 received"),
        ] {
            expect(&received, codes, says);
        }
    }
}
