//! Encodings of a whole body: character encodings, gzip, base64, and how languages show bytes.

use base64::engine::GeneralPurpose;
use miniz_oxide::inflate::{decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit};
use std::fmt::Write;

/// Standard base64, with or without padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The most bytes that a compressed body may become.
const INFLATED_MAX: usize = 1024 * 1024;

/// The characters of windows-1252 from 0x80 to 0x9f, where ISO-8859-1 has control characters.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A character encoding with one byte for each character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SingleByte {
    /// ISO-8859-1.
    Latin1,
    /// windows-1252.
    Windows1252,
}

impl SingleByte {
    /// Decodes bytes. Every byte is a character.
    pub(super) fn decode(self, bytes: &[u8]) -> String {
        let letter = |byte: &u8| match byte {
            0x80..=0x9f if self == Self::Windows1252 => WINDOWS_1252[usize::from(byte - 0x80)],
            byte => char::from(*byte),
        };
        bytes.iter().map(letter).collect()
    }

    /// Encodes a text, if the encoding has all its characters.
    pub(super) fn encode(self, text: &str) -> Option<Vec<u8>> {
        let byte = |letter: char| {
            let special = WINDOWS_1252.iter().position(|special| *special == letter);
            match special.and_then(|index| u8::try_from(index).ok()) {
                Some(index) if self == Self::Windows1252 => Some(0x80 + index),
                _ => u8::try_from(u32::from(letter)).ok(),
            }
        };
        text.chars().map(byte).collect()
    }
}

/// Encodes a text in UTF-16, with a byte order mark or without, low byte first or high byte first.
pub(super) fn utf16(text: &str, mark: bool, big_endian: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

/// Decodes UTF-16, without its byte order mark.
pub(super) fn from_utf16(bytes: &[u8], big_endian: bool) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    rest.is_empty().then(|| text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Decompresses gzip (RFC 1952) or zlib (RFC 1950), up to a limit. The checksum is not checked, because what comes out is compared.
pub(super) fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes {
        [0x1f, 0x8b, 8, flags, ..] => {
            let deflated = &bytes[gzip_header_length(bytes, *flags)?..];
            decompress_to_vec_with_limit(deflated, INFLATED_MAX).ok()
        }
        [0x78, ..] => decompress_to_vec_zlib_with_limit(bytes, INFLATED_MAX).ok(),
        _ => None,
    }
}

/// Returns the length of gzip's header: ten bytes, and the fields that `flags` announces.
fn gzip_header_length(bytes: &[u8], flags: u8) -> Option<usize> {
    let mut at = 10;
    if flags & 4 != 0 {
        let length = bytes.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (at <= bytes.len()).then_some(at)
}

/// `str(body)` of Python's bytes: `b'…'`.
pub(super) fn python_bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut shown = format!("b{quote}");
    for byte in bytes {
        match byte {
            b'\\' => shown.push_str("\\\\"),
            b'\n' => shown.push_str("\\n"),
            b'\r' => shown.push_str("\\r"),
            b'\t' => shown.push_str("\\t"),
            _ if char::from(*byte) == quote => {
                shown.push('\\');
                shown.push(quote);
            }
            b' '..=b'~' => shown.push(char::from(*byte)),
            _ => write!(shown, "\\x{byte:02x}").expect("a string can be written to"),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gzip_and_zlib_of_other_programs_are_read() {
        let hex = |text: &str| hex::decode(text).expect("hex");
        // Python's gzip, without and with a name, and its zlib.compress
        for compressed in [
            "1f8b08000000000002ffab562a4956b25250aa50aa0500b1b4daeb0b000000",
            "1f8b08080000000002ff612e6a736f6e00ab562a4956b25250aa50aa0500b1b4daeb0b000000",
            "789cab562a4956b25250aa50aa0500136f032a",
        ] {
            assert_eq!(inflated(&hex(compressed)).as_deref(), Some(&br#"{"tc": "x"}"#[..]), "{compressed}");
        }
        for wrong in ["1f8b08", "1f8b0804000000000000ffff", "78", "7800", "", "1f8b0808000000000000616161"] {
            assert_eq!(inflated(&hex(wrong)), None, "{wrong}");
        }
    }

    /// `str(b"{\"a'\\\\\xc3\xa9\\n\"}")` of Python.
    #[test]
    fn bytes_are_shown_as_python_does() {
        assert_eq!(python_bytes("{\"a'\\é\n\"}".as_bytes()), r#"b'{"a\'\\\xc3\xa9\n"}'"#);
        assert_eq!(python_bytes(b"it's"), "b\"it's\"");
    }

    proptest! {
        #[test]
        fn encodings_are_reversible(bytes: Vec<u8>, text: String, mark: bool, big_endian: bool) {
            for encoding in [SingleByte::Latin1, SingleByte::Windows1252] {
                let decoded = encoding.decode(&bytes);
                prop_assert_eq!(encoding.encode(&decoded), Some(bytes.clone()));
            }
            prop_assume!(!text.starts_with('\u{feff}'));
            prop_assert_eq!(from_utf16(&utf16(&text, mark, big_endian), big_endian), Some(text));
        }

        #[test]
        fn any_bytes_are_decompressed_or_refused(bytes: Vec<u8>, flags: u8) {
            let _ = inflated(&[&[0x1f, 0x8b, 8, flags], &bytes[..]].concat());
        }
    }
}
