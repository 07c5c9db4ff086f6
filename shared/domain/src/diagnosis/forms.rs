//! How a signature is written: as it is sent, and as mistakes write it.

use super::{Code, change::Change};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use std::hint::black_box;

/// How the signature of a scheme is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `X-Webhook-Signature`: lowercase hex.
    Hex,
    /// An entry of `webhook-signature`: `v1,` and base64.
    Versioned,
    /// The same, with or without `v1,`: what a receiver's own code computed.
    Base64,
    /// Hex or base64: a signature that should have more around it.
    Any,
}

/// Whether both are the same. The time that it takes does not depend on where they differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (one, other)| black_box(all | (one ^ other)));
    one.len() == other.len() && differing == 0
}

/// Returns what happened to a signature that is `mac`, or `None` if it is not.
pub(super) fn read(form: Form, value: &str, mac: &[u8]) -> Option<Vec<Change>> {
    let (bare, around) = bare(value);
    let encoding = written(form, bare, mac)?;
    let has_version = around.version;
    let mut changes = vec![];
    let is_sent_so = match form {
        Form::Hex => around == Around::default(),
        Form::Versioned => around == Around { version: true, ..Around::default() },
        Form::Base64 | Form::Any => around == Around { version: has_version, ..Around::default() },
    };
    if !is_sent_so {
        let detail = match (form, has_version) {
            (Form::Hex, _) => "It has something around it: the value is the hex alone.",
            (Form::Versioned, false) => "It lacks its version: an entry is v1, and the base64, without a space.",
            _ => "It has something around it, such as white space or another prefix.",
        };
        changes.push(Change::new(Code::FormatChanged, detail));
    }
    changes.extend(encoding);
    Some(changes)
}

/// What stands around the signature itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Around {
    /// `v1,`
    version: bool,
    /// Anything else: white space, quotation marks, the prefix of another scheme.
    other: bool,
}

/// Removes what stands around a signature.
fn bare(value: &str) -> (&str, Around) {
    let trimmed = value.trim().trim_matches(['"', '\'']);
    let mut around = Around { version: false, other: trimmed != value };
    let mut rest = trimmed;
    if let Some(after) = rest.strip_prefix("v1,") {
        (rest, around.version) = (after, true);
    } else if let Some(after) = ["sha256=", "sha256:", "v1=", "V1,"].iter().find_map(|prefix| rest.strip_prefix(prefix))
    {
        (rest, around.other) = (after, true);
    }
    (rest.trim(), around)
}

/// Compares a signature with every way to write it.
fn written(form: Form, value: &str, mac: &[u8]) -> Option<Vec<Change>> {
    let hex = hex::encode(mac);
    let is = |text: &str| same(value.as_bytes(), text.as_bytes());
    let is_in_case = |text: &str| same(value.to_ascii_lowercase().as_bytes(), text.to_ascii_lowercase().as_bytes());
    let base64 = STANDARD.encode(mac);
    let in_base64 = |code: Option<(Code, &'static str)>| {
        let wrong = (form == Form::Hex)
            .then(|| Change::new(Code::Base64InsteadOfHex, "It is in base64: this header has lowercase hex."));
        Some(wrong.into_iter().chain(code.map(|(code, detail)| Change::new(code, detail))).collect())
    };
    let in_hex = |code: Option<(Code, &'static str)>| {
        let wrong = matches!(form, Form::Versioned | Form::Base64)
            .then(|| Change::new(Code::HexInsteadOfBase64, "It is in hex: this header has base64."));
        Some(wrong.into_iter().chain(code.map(|(code, detail)| Change::new(code, detail))).collect())
    };
    let padding = (Code::Base64WithoutPadding, "It lacks the = at the end of its base64.");
    let url = (Code::Base64UrlAlphabet, "It is in base64url, with - and _ in place of + and /.");
    let case = (Code::CaseChanged, "Its letters were changed to upper or lower case.");
    if is(&hex) {
        in_hex(None)
    } else if is(&base64) {
        in_base64(None)
    } else if is(&STANDARD_NO_PAD.encode(mac)) {
        in_base64(Some(padding))
    } else if is(&URL_SAFE.encode(mac)) || is(&URL_SAFE_NO_PAD.encode(mac)) {
        in_base64(Some(url))
    } else if is_in_case(&hex) {
        in_hex(Some(case))
    } else if is_in_case(&base64) || is_in_case(&STANDARD_NO_PAD.encode(mac)) {
        in_base64(Some(case))
    } else if is(&STANDARD.encode(&hex)) {
        Some(vec![Change::new(
            Code::HexInsteadOfBase64,
            "It is the base64 of the hex: encode the bytes of the HMAC, not their hex.",
        )])
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 32] = *b"\xfb\xef\xbe\xff\xff\xffa signature of 32 bytes!!!";

    fn codes(form: Form, value: &str) -> Option<Vec<Code>> {
        read(form, value, &MAC).map(|changes| changes.iter().map(|change| change.code).collect())
    }

    #[test]
    fn every_way_to_write_a_signature_is_recognized() {
        let (hex, base64) = (hex::encode(MAC), STANDARD.encode(MAC));
        let entry = format!("v1,{base64}");
        for (form, value, expected) in [
            (Form::Hex, hex.clone(), &[][..]),
            (Form::Hex, hex.to_uppercase(), &[Code::CaseChanged]),
            (Form::Hex, format!("sha256={hex}"), &[Code::FormatChanged]),
            (Form::Hex, format!(" \"{hex}\" "), &[Code::FormatChanged]),
            (Form::Hex, base64.clone(), &[Code::Base64InsteadOfHex]),
            (Form::Hex, entry.clone(), &[Code::FormatChanged, Code::Base64InsteadOfHex]),
            (Form::Versioned, entry.clone(), &[]),
            (Form::Versioned, base64.clone(), &[Code::FormatChanged]),
            (Form::Versioned, format!("v1={base64}"), &[Code::FormatChanged]),
            (Form::Versioned, entry.trim_end_matches('=').to_owned(), &[Code::Base64WithoutPadding]),
            (Form::Versioned, entry.replace('+', "-").replace('/', "_"), &[Code::Base64UrlAlphabet]),
            (Form::Versioned, entry.to_lowercase(), &[Code::CaseChanged]),
            (Form::Versioned, format!("v1,{hex}"), &[Code::HexInsteadOfBase64]),
            (Form::Versioned, format!("v1,{}", STANDARD.encode(&hex)), &[Code::HexInsteadOfBase64]),
            (Form::Base64, hex.clone(), &[Code::HexInsteadOfBase64]),
            (Form::Base64, format!("{base64}\n"), &[Code::FormatChanged]),
            (Form::Base64, base64.clone(), &[]),
            (Form::Base64, entry, &[]),
            (Form::Any, hex, &[]),
            (Form::Any, base64, &[]),
        ] {
            assert_eq!(codes(form, &value).as_deref(), Some(expected), "{form:?} {value}");
        }
        for wrong in ["", "v1,", "fb", &hex::encode([0xfa; 32]), &format!("v1,{}", STANDARD.encode([0; 32]))] {
            assert_eq!(
                (codes(Form::Hex, wrong), codes(Form::Versioned, wrong), codes(Form::Any, wrong)),
                (None, None, None)
            );
        }
    }

    #[test]
    fn texts_are_the_same_only_if_every_byte_is() {
        assert!(same(b"", b"") && same(b"ab", b"ab"));
        assert!(!same(b"ab", b"abc") && !same(b"abc", b"ab") && !same(b"ab", b"aB") && !same(b"xb", b"ab"));
    }
}
