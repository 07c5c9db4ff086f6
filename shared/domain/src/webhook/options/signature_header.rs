//! One more signature, in the form that a receiver already verifies: GitHub's, Stripe's, or any other HMAC-SHA256 of a text that
//! contains the body.

use super::HeaderName;
use crate::{secret::Secret, signature::hmac_sha256};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The most characters of a template.
pub const TEMPLATE_MAX: usize = 256;

/// A header with one more signature: the HMAC-SHA256 of `content`, keyed like `X-Webhook-Signature`, written into `value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureHeader {
    /// The header's name.
    pub name: HeaderName,
    /// The signed text, made of `{id}`, `{timestamp}` and `{body}`.
    pub content: Template,
    /// The header's value, made of `{hex}`, `{base64}` and `{timestamp}`.
    pub value: Template,
}

/// What a signature is about.
#[derive(Clone, Copy, Debug)]
pub struct SignedContent<'a> {
    /// The event's id, which is also `webhook-id`.
    pub id: &'a str,
    /// The time of the attempt in seconds since the Unix epoch, as in `webhook-timestamp`.
    pub timestamp: &'a str,
    /// The bytes of the body.
    pub body: &'a [u8],
}

/// A text with placeholders in braces. It is stored as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(String);

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// What is wrong with a template, as a phrase for the user.
pub type TemplateFault = String;

impl Template {
    /// Reads the template of a signed text.
    pub fn parse_content(text: &str) -> Result<Self, TemplateFault> {
        let template = Self::parse(text, &["id", "timestamp", "body"])?;
        let bodies = template.parts().filter(|part| *part == Part::Placeholder("body")).count();
        if bodies == 1 { Ok(template) } else { Err("must contain {body} once".to_owned()) }
    }

    /// Reads the template of a header's value.
    pub fn parse_value(text: &str) -> Result<Self, TemplateFault> {
        let template = Self::parse(text, &["hex", "base64", "timestamp"])?;
        let is_signature = |part: Part<'_>| matches!(part, Part::Placeholder("hex" | "base64"));
        if !template.parts().any(is_signature) {
            return Err("must contain {hex} or {base64}".to_owned());
        }
        if text.trim() != text {
            return Err("must not begin or end with a space".to_owned());
        }
        Ok(template)
    }

    fn parse(text: &str, placeholders: &[&str]) -> Result<Self, TemplateFault> {
        if text.len() > TEMPLATE_MAX || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(format!("must have at most {TEMPLATE_MAX} visible ASCII characters or spaces"));
        }
        let template = Self(text.to_owned());
        let is_known = |part: Part<'_>| match part {
            Part::Text(text) => !text.contains(['{', '}']),
            Part::Placeholder(name) => placeholders.contains(&name),
        };
        if template.parts().all(is_known) {
            return Ok(template);
        }
        let known: Vec<_> = placeholders.iter().map(|name| format!("{{{name}}}")).collect();
        Err(format!("must have no other braces than those of {}", known.join(", ")))
    }

    /// Returns the template as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Splits the template into texts and placeholders. A brace without its counterpart stays in a text.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if let Some((name, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
                rest = after;
                return Some(Part::Placeholder(name));
            }
            let end = rest.char_indices().skip(1).find(|(_, letter)| *letter == '{').map_or(rest.len(), |(at, _)| at);
            let (text, after) = rest.split_at(end);
            rest = after;
            Some(Part::Text(text))
        })
    }
}

impl SignatureHeader {
    /// Returns the header's value for a request that is signed with `secret`: visible ASCII.
    pub fn sign(&self, secret: &Secret, content: SignedContent<'_>) -> String {
        let (before, after) = self.around_body(content.id, content.timestamp);
        let mac = hmac_sha256(secret.expose().as_bytes(), &[before.as_bytes(), content.body, after.as_bytes()]);
        self.value_of(&mac, content.timestamp)
    }

    /// Returns what is signed before the body and after it.
    pub fn around_body(&self, id: &str, timestamp: &str) -> (String, String) {
        let (mut before, mut after, mut is_before) = (String::new(), String::new(), true);
        for part in self.content.parts() {
            let text = match part {
                Part::Placeholder("body") => {
                    is_before = false;
                    continue;
                }
                Part::Placeholder("id") => id,
                Part::Placeholder("timestamp") => timestamp,
                Part::Placeholder(text) | Part::Text(text) => text,
            };
            if is_before { &mut before } else { &mut after }.push_str(text);
        }
        (before, after)
    }

    /// Returns the header's value with the HMAC `mac`.
    pub fn value_of(&self, mac: &[u8], timestamp: &str) -> String {
        let value = self.value.parts().map(|part| match part {
            Part::Placeholder("hex") => hex::encode(mac),
            Part::Placeholder("base64") => STANDARD.encode(mac),
            Part::Placeholder("timestamp") => timestamp.to_owned(),
            Part::Placeholder(text) | Part::Text(text) => text.to_owned(),
        });
        value.collect()
    }

    /// GitHub's form.
    #[cfg(test)]
    pub(super) fn github() -> Self {
        Self {
            name: "X-Hub-Signature-256".parse().expect("a name"),
            content: Template::parse_content("{body}").expect("a template"),
            value: Template::parse_value("sha256={hex}").expect("a template"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"Hello, World!";

    fn signed(header: &SignatureHeader, secret: &str) -> String {
        let secret = Secret::parse(secret).expect("a secret");
        header.sign(&secret, SignedContent { id: "evt_1", timestamp: "1492774577", body: BODY })
    }

    /// The vector of GitHub's documentation, "Validating webhook deliveries".
    #[test]
    fn githubs_signature_matches_its_documentation() {
        assert_eq!(
            signed(&SignatureHeader::github(), "It's a Secret to Everybody"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    /// The vectors come from Python's `hmac` module.
    #[test]
    fn every_placeholder_is_filled_in() {
        let header = |content: &str, value: &str| SignatureHeader {
            name: "Stripe-Signature".parse().expect("a name"),
            content: Template::parse_content(content).expect("a template"),
            value: Template::parse_value(value).expect("a template"),
        };
        let stripe = header("{timestamp}.{body}", "t={timestamp},v1={hex}");
        assert_eq!(
            signed(&stripe, "of_stripe_without_base64x"),
            "t=1492774577,v1=550b08e2e2b3f95001f99ca1be4808ec265803e2f675f49dc103756f0ab05f8e"
        );
        let all = header("{id}:{timestamp}:{body}", "{base64}");
        assert_eq!(signed(&all, "sixteen characters"), "0fljw3203IC4ORamEyVTJ53l7d5sOdxo9v361dDyyKY=");
    }

    #[test]
    fn templates_with_faults_are_refused() {
        for wrong in [
            "",
            "body",
            "{id}",
            "{body}{body}",
            "{body}{hex}",
            "{body",
            "body}",
            "{{body}}",
            "{body}}",
            "{body}\n",
            "é{body}",
        ] {
            assert!(Template::parse_content(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "hex", "{timestamp}", "{body}{hex}", "{hex} ", "{hex}\r\nX: y", "{HEX}", &"x".repeat(257)] {
            assert!(Template::parse_value(wrong).is_err(), "{wrong}");
        }
        for right in ["{body}", "v0:{timestamp}:{body}", "{id}.{timestamp}.{body}"] {
            assert_eq!(Template::parse_content(right).expect(right).as_str(), right);
        }
    }
}
