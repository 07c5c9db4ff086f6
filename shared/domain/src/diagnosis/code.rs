//! What a finding says, as a code for programs. `infra/docs/signatures.md` lists the codes.

use serde::Serialize;

/// Defines [`Code`] from a table: the code as users see it, and what it says.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident: $text:literal;)+) => {
        /// What a finding says, for programs. More codes may be added.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FindingCode))]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the code as users see it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// The signature holds.
    Valid: "valid";
    /// The signature does not hold, and nothing that was tried explains why.
    Unexplained: "unexplained";
    /// The request has no signature at all.
    SignatureMissing: "signature_missing";
    /// A header that is part of what is signed is missing.
    HeaderMissing: "header_missing";
    /// The signature is right, but in another header.
    WrongHeader: "wrong_header";
    /// The header came several times, or several values were joined into one.
    HeaderRepeated: "header_repeated";
    /// `webhook-id` is not the id that was signed.
    IdChanged: "id_changed";
    /// `webhook-timestamp` is not the time that was signed.
    TimestampChanged: "timestamp_changed";
    /// The signature is right, but was made too long before or after the request was received.
    TimestampOutOfTolerance: "timestamp_out_of_tolerance";
    /// The signature is right, but has something around it that was not sent, or lacks its version.
    FormatChanged: "format_changed";
    /// The signature is right, but its upper or lower case was changed.
    CaseChanged: "case_changed";
    /// The signature is right, but in hex where base64 belongs.
    HexInsteadOfBase64: "hex_instead_of_base64";
    /// The signature is right, but in base64 where hex belongs.
    Base64InsteadOfHex: "base64_instead_of_hex";
    /// The signature is right, but lacks the padding of base64.
    Base64WithoutPadding: "base64_without_padding";
    /// The signature is right, but in the alphabet of base64url.
    Base64UrlAlphabet: "base64_url_alphabet";
    /// The entry has another version than `v1`. Verifiers ignore it.
    UnknownVersion: "unknown_version";
    /// The signature was made with the webhook's secret, not with the one that was given.
    WrongSecret: "wrong_secret";
    /// One side uses the secret of another webhook.
    SecretOfAnotherWebhook: "secret_of_another_webhook";
    /// One side uses a secret that a rotation has replaced.
    PreviousSecret: "previous_secret";
    /// The key was decoded from the secret, and should be its text.
    SecretDecoded: "secret_decoded";
    /// The key was the text of the secret, and should be decoded from it.
    SecretNotDecoded: "secret_not_decoded";
    /// The secret lacks its prefix `whsec_`.
    SecretWithoutPrefix: "secret_without_prefix";
    /// The secret has white space around it, such as a line break.
    SecretWithWhiteSpace: "secret_with_white_space";
    /// The secret has quotation marks around it.
    SecretQuoted: "secret_quoted";
    /// Another text was signed than the scheme says, such as the body without id and timestamp.
    WrongContent: "wrong_content";
    /// The signature was made by another algorithm than HMAC-SHA256.
    WrongAlgorithm: "wrong_algorithm";
    /// A line break was added to the end of the body.
    TrailingNewlineAdded: "trailing_newline_added";
    /// The line break at the end of the body was removed.
    TrailingNewlineRemoved: "trailing_newline_removed";
    /// White space around the body was added or removed.
    WhiteSpaceChanged: "white_space_changed";
    /// The line breaks of the body were changed between LF and CRLF.
    LineBreaksChanged: "line_breaks_changed";
    /// A byte order mark was put before the body.
    BomAdded: "bom_added";
    /// The body is the same JSON, parsed and written anew.
    JsonRewritten: "json_rewritten";
    /// The body is the same JSON with other escapes in its strings.
    EscapesChanged: "escapes_changed";
    /// The body is the same JSON with its members in another order.
    KeysReordered: "keys_reordered";
    /// The body is a JSON string that contains the signed body.
    JsonQuoted: "json_quoted";
    /// The body is not the text that arrived, but how a language shows a parsed or an unread value.
    BodyNotRaw: "body_not_raw";
    /// The body is cut.
    BodyTruncated: "body_truncated";
    /// Something was added before or after the body.
    BodyExtended: "body_extended";
    /// The body is still compressed.
    BodyCompressed: "body_compressed";
    /// The body is still encoded in base64.
    BodyBase64: "body_base64";
    /// The body was decoded with one character encoding and encoded with another.
    CharsetChanged: "charset_changed";
    /// The body is that of another event.
    BodyOfAnotherEvent: "body_of_another_event";
    /// The body differs from the stored one in a way that has no code of its own.
    BodyChanged: "body_changed";
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = include_str!("../../../../infra/docs/signatures.md");

    #[test]
    fn the_reference_lists_every_code_in_order() {
        let section =
            REFERENCE.split("\n## ").find(|section| section.starts_with("Codes")).expect("a section on codes");
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let listed: Vec<_> = rows.map(|(code, _)| code).collect();
        assert_eq!(listed, Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>());
        let written = |code: &Code| serde_json::to_value(code).expect("JSON") == code.as_str();
        assert!(Code::ALL.iter().all(written), "serde writes another code");
    }
}
