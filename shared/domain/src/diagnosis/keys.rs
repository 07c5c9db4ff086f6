//! The keys that a secret may stand for: the right one, and those of common mistakes.

use super::{
    Code,
    change::{Candidate, Change},
    encodings::BASE64,
};
use crate::secret::WHSEC;
use base64::Engine;

/// How a scheme takes its key from a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keying {
    /// The UTF-8 bytes of the secret: `X-Webhook-Signature` and a webhook's own `signature_header`.
    #[default]
    Text,
    /// The bytes after `whsec_`, decoded, or the UTF-8 bytes of a secret without that prefix: `webhook-signature`.
    Standard,
}

/// A key that may have signed.
pub(super) type Key = Candidate<Vec<u8>>;

/// Returns the right key of a secret.
pub(super) fn right(secret: &str, keying: Keying) -> Vec<u8> {
    match secret.strip_prefix(WHSEC).map(|encoded| BASE64.decode(encoded)) {
        Some(Ok(key)) if keying == Keying::Standard => key,
        _ => secret.as_bytes().to_vec(),
    }
}

/// Returns the keys of mistakes with a secret. None of them is the right one.
pub(super) fn mistaken(secret: &str, keying: Keying) -> Vec<Key> {
    let right_key = right(secret, keying);
    let mut found: Vec<Key> = vec![];
    let mut add = |code, detail: &'static str, key: Vec<u8>| {
        if key != right_key && found.iter().all(|other| other.value != key) {
            found.push(Candidate::changed(key, Change::new(code, detail)));
        }
    };
    let trimmed = secret.trim();
    let white = "There is white space around the secret, such as a line break at its end. It was made without it.";
    add(Code::SecretWithWhiteSpace, white, right(trimmed, keying));
    let unquoted = trimmed.trim_matches(['"', '\'']);
    add(
        Code::SecretQuoted,
        "There are quotation marks around the secret. It was made without them.",
        right(unquoted, keying),
    );
    let white = "It was made with a line break at the end of the secret, as a file has it.";
    add(Code::SecretWithWhiteSpace, white, format!("{secret}\n").into_bytes());
    add(Code::SecretWithWhiteSpace, white, format!("{secret}\r\n").into_bytes());
    if let Some(encoded) = secret.strip_prefix(WHSEC) {
        let not_decoded = match keying {
            Keying::Standard => {
                let whole = "Its key was the text of the secret. The key of webhook-signature is what follows whsec_, decoded from base64.";
                add(Code::SecretNotDecoded, whole, secret.as_bytes().to_vec());
                "Its key was the text after whsec_. The key of webhook-signature is that text, decoded from base64."
            }
            Keying::Text => {
                let decoded = "Its key was decoded from the secret. The key of this signature is the whole text of the secret; give the secret \
                    itself, not its standard_secret.";
                add(Code::SecretDecoded, decoded, BASE64.decode(encoded).unwrap_or_default());
                "Its key was the text after whsec_. The prefix belongs to the key of this signature."
            }
        };
        let code = if keying == Keying::Standard { Code::SecretNotDecoded } else { Code::SecretWithoutPrefix };
        add(code, not_decoded, encoded.as_bytes().to_vec());
    } else {
        let prefixed = format!("{WHSEC}{secret}");
        add(
            Code::SecretWithoutPrefix,
            "The secret lacks its prefix whsec_, which is part of it.",
            right(&prefixed, keying),
        );
        let decoded = "Its key was decoded from the secret. The key of a secret without whsec_ is its text; a library that decodes takes the \
            standard_secret.";
        if let Ok(key) = BASE64.decode(secret) {
            add(Code::SecretDecoded, decoded, key);
        }
        if let Ok(key) = hex::decode(secret) {
            add(Code::SecretDecoded, decoded, key);
        }
    }
    found.retain(|key| !key.value.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    const PLAIN: &str = "a_secret_of_24_characters";

    fn code(secret: &str, keying: Keying, key: &[u8]) -> Option<Code> {
        mistaken(secret, keying).into_iter().find(|found| found.value == key).map(|found| found.changes[0].code)
    }

    #[test]
    fn mistakes_with_a_secret_lead_to_its_key() {
        let whsec = format!("whsec_{}", STANDARD.encode([7; 32]));
        let bare = whsec.trim_start_matches("whsec_");
        let key = right(&whsec, Keying::Standard);
        assert_eq!(key, [7; 32]);
        assert_eq!(code(&whsec, Keying::Standard, whsec.as_bytes()), Some(Code::SecretNotDecoded));
        assert_eq!(code(&whsec, Keying::Standard, bare.as_bytes()), Some(Code::SecretNotDecoded));
        assert_eq!(code(&whsec, Keying::Text, &key), Some(Code::SecretDecoded));
        assert_eq!(code(&whsec, Keying::Text, bare.as_bytes()), Some(Code::SecretWithoutPrefix));
        assert_eq!(code(bare, Keying::Standard, &key), Some(Code::SecretWithoutPrefix));
        assert_eq!(code(bare, Keying::Text, whsec.as_bytes()), Some(Code::SecretWithoutPrefix));
        assert_eq!(code(&format!("{whsec}\n"), Keying::Standard, &key), Some(Code::SecretWithWhiteSpace));
        assert_eq!(code(&format!("\"{PLAIN}\""), Keying::Text, PLAIN.as_bytes()), Some(Code::SecretQuoted));
        assert_eq!(code(PLAIN, Keying::Text, format!("{PLAIN}\n").as_bytes()), Some(Code::SecretWithWhiteSpace));
        let standard_form = format!("whsec_{}", STANDARD.encode(PLAIN));
        assert_eq!(code(&standard_form, Keying::Text, PLAIN.as_bytes()), Some(Code::SecretDecoded));
        assert_eq!(right(&standard_form, Keying::Standard), PLAIN.as_bytes());
        for keying in [Keying::Text, Keying::Standard] {
            for secret in [PLAIN, &whsec, bare] {
                assert_eq!(code(secret, keying, &right(secret, keying)), None, "the right key is no mistake");
            }
        }
    }
}
