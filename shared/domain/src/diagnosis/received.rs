//! A request as a receiver saw it, and the body of `POST /v1/signatures/debug` that describes it.

use super::json;
use crate::{
    credential::Credential,
    id::{EventId, InvalidId, WebhookId},
    input::{self, Faulted, Faults, Fields, InputError},
    time::Timestamp,
};
use base64::Engine;
use serde_json::value::RawValue;
use std::str::FromStr;

/// The most bytes of the body that describes a request.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// The most header values of a request.
pub const HEADERS_MAX: usize = 200;
/// The most bytes of one header value.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// The most signatures of a request: the values of `X-Webhook-Signature` and the entries of `webhook-signature`.
pub const SIGNATURES_MAX: usize = 16;
/// The most characters of what a receiver's own code computed.
pub const COMPUTED_MAX: usize = 256;

/// The headers of a delivery that matter, in lower case.
pub(super) const BODY_HMAC: &str = "x-webhook-signature";
pub(super) const STANDARD: &str = "webhook-signature";
pub(super) const ID: &str = "webhook-id";
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
pub(super) const ATTEMPT: &str = "x-webhook-attempt";

/// The headers of a request. A name is in lower case, with `-` between its words.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Takes headers as they were received. Names are compared as HTTP does; names such as `HTTP_WEBHOOK_ID`, as CGI, WSGI and PHP
    /// show them, are understood too.
    ///
    /// # Errors
    /// A phrase for the user, if there are too many headers or signatures, or if one is too long.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let headers: Vec<_> = headers.into_iter().map(|(name, value)| (header_name(&name), value)).collect();
        if headers.len() > HEADERS_MAX {
            return Err(format!("must have at most {HEADERS_MAX} values"));
        }
        if headers.iter().any(|(_, value)| value.len() > HEADER_BYTES_MAX) {
            return Err(format!("must have values of at most {HEADER_BYTES_MAX} bytes"));
        }
        let headers = Self(headers);
        let count = headers.body_hmacs().len() + headers.entries().len();
        if count > SIGNATURES_MAX {
            return Err(format!("must have at most {SIGNATURES_MAX} signatures"));
        }
        Ok(headers)
    }

    /// Returns the values of a header, whose name is in lower case.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a header.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns every header.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the values of `X-Webhook-Signature`. Values that were joined with a comma are separate.
    pub(super) fn body_hmacs(&self) -> Vec<&str> {
        let is_entry = |value: &str| value.trim().starts_with("v1,");
        let split = |value: &'_ str| if is_entry(value) { 1 } else { usize::MAX };
        self.values(BODY_HMAC).flat_map(|value| value.splitn(split(value), ',')).collect()
    }

    /// Returns the entries of `webhook-signature`.
    pub(super) fn entries(&self) -> Vec<&str> {
        let entries = self.values(STANDARD).flat_map(str::split_whitespace);
        entries.map(|entry| entry.trim_end_matches(',')).filter(|entry| !entry.is_empty()).collect()
    }
}

/// Returns a header's name in its usual form.
fn header_name(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    if name.contains('-') {
        return name;
    }
    name.strip_prefix("http_").unwrap_or(&name).replace('_', "-")
}

/// A request as a receiver saw it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its headers.
    pub headers: Headers,
    /// The bytes of its body.
    pub body: Vec<u8>,
    /// When it was received.
    pub at: Option<Timestamp>,
    /// The signature that the receiver's own code computed for it.
    pub computed: Option<String>,
}

impl Received {
    /// Returns the events that the request may belong to: that of `webhook-id`, also if its case was changed, and that of the body.
    /// At most three.
    pub fn event_ids(&self) -> Vec<EventId> {
        let header = self.headers.first(ID).map(str::trim).unwrap_or_default();
        let upper = header
            .get(..4)
            .zip(header.get(4..))
            .map(|(prefix, rest)| format!("{}{}", prefix.to_ascii_lowercase(), rest.to_ascii_uppercase()));
        let texts = [Some(header.to_owned()), upper, self.id_in_body()];
        let mut ids: Vec<EventId> = vec![];
        for id in texts.iter().flatten().filter_map(|text| EventId::from_str(text).ok()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Returns the member `id` of the body.
    pub(super) fn id_in_body(&self) -> Option<String> {
        let tree = json::parse(&self.body)?;
        tree.member("id")?.text().map(str::to_owned)
    }
}

/// A secret as a receiver has it, which may be faulty: it may have white space around it, or lack its prefix.
#[derive(Clone, Debug)]
pub struct GivenSecret(Credential);

impl GivenSecret {
    /// Reads it.
    ///
    /// # Errors
    /// A phrase for the user, which does not contain the secret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if (16..=256).contains(&text.chars().count()) {
            Ok(Self(text.to_owned().into()))
        } else {
            Err("must have 16 to 256 characters")
        }
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A request for a diagnosis.
#[derive(Clone, Debug)]
pub struct DiagnosisRequest {
    /// The webhook that the request was sent for. It is a text because one that is no id is answered like an unknown one.
    pub webhook_id: Option<String>,
    /// The request.
    pub received: Received,
    /// The receiver's secret.
    pub secret: Option<GivenSecret>,
}

impl DiagnosisRequest {
    /// Reads `{webhook_id?, headers, body | body_base64, secret?, received_at?, computed?}`.
    ///
    /// # Errors
    /// The body is not JSON, or breaks rules.
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
        let mut fields = Fields::parse(body)?;
        let webhook_id = fields.optional("webhook_id", input::string);
        let headers = fields.required("headers", headers);
        let body = received_body(&mut fields);
        let secret = fields.optional("secret", |raw| Ok(GivenSecret::parse(&input::string(raw)?)?));
        let at = fields.optional("received_at", |raw| Ok(Timestamp::parse_rfc3339(&input::string(raw)?)?));
        let computed = fields.optional("computed", computed);
        fields.finish(|| {
            let received = Received { headers: headers?, body: body?, at: at?, computed: computed? };
            Ok(Self { webhook_id: webhook_id?, received, secret: secret? })
        })
    }

    /// Returns the id of the webhook, or an error if the text is none.
    pub fn webhook(&self) -> Result<Option<WebhookId>, InvalidId> {
        self.webhook_id.as_deref().map(str::parse).transpose()
    }
}

/// Reads `body`, a text, or `body_base64`, any bytes.
fn received_body(fields: &mut Fields) -> Result<Vec<u8>, Faulted> {
    let text = fields.optional("body", input::string);
    let bytes = fields.optional("body_base64", |raw| {
        let decoded = super::encodings::BASE64.decode(input::string(raw)?);
        decoded.map_err(|_| Faults::from("must be the standard base64 of the body's bytes"))
    });
    match (text?, bytes?) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(bytes)) => Ok(bytes),
        (None, None) => Err(fields.fault("/body", "is required, or body_base64")),
        (Some(_), Some(_)) => Err(fields.fault("/body_base64", "must not be given together with body")),
    }
}

/// Reads an object of header names, each with a text or an array of texts.
fn headers(raw: &RawValue) -> Result<Headers, Faults> {
    let (mut headers, mut faults) = (vec![], Faults::default());
    for (name, value) in input::members(raw)? {
        match header_values(&value) {
            Ok(values) => headers.extend(values.into_iter().map(|value| (name.clone(), value))),
            Err(fault) => faults.extend(input::pointer(&name), fault),
        }
    }
    if faults.is_empty() { Ok(Headers::new(headers)?) } else { Err(faults) }
}

fn header_values(raw: &RawValue) -> Result<Vec<String>, Faults> {
    match input::string(raw) {
        Ok(value) => Ok(vec![value]),
        Err(_) if raw.get().starts_with('[') => input::array(raw, HEADERS_MAX, input::string),
        Err(_) => Err("must be a string or an array of strings".into()),
    }
}

/// Reads what the receiver's code computed.
fn computed(raw: &RawValue) -> Result<String, Faults> {
    let text = input::string(raw)?;
    if (1..=COMPUTED_MAX).contains(&text.chars().count()) {
        Ok(text)
    } else {
        Err(format!("must have 1 to {COMPUTED_MAX} characters").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: &str) -> Vec<String> {
        match DiagnosisRequest::parse(body.as_bytes()) {
            Err(InputError::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
            Err(InputError::Malformed(_)) => vec!["malformed".to_owned()],
            Ok(_) => vec![],
        }
    }

    #[test]
    fn every_fault_is_found() {
        assert!(faults(r#"{"headers":{},"body":""}"#).is_empty());
        assert!(faults(r#"{"headers":{"A":["b","c"],"a":"d"},"body_base64":"e30"}"#).is_empty());
        for (body, expected) in [
            ("{", &["malformed"][..]),
            ("{}", &["/headers", "/body"]),
            (r#"{"headers":{},"body":"","body_base64":""}"#, &["/body_base64"]),
            (
                r#"{"headers":{"A":1,"b/c":[1],"d":null},"body":1}"#,
                &["/headers/A", "/headers/b~1c/0", "/headers/d", "/body"],
            ),
            (r#"{"headers":[],"body":"","typo":1}"#, &["/headers", "/typo"]),
            (r#"{"headers":{},"body_base64":"!"}"#, &["/body_base64"]),
            (
                r#"{"headers":{},"body":"","secret":"short","received_at":"now","computed":""}"#,
                &["/secret", "/received_at", "/computed"],
            ),
        ] {
            assert_eq!(faults(body), expected, "{body}");
        }
        let many = vec!["\"v1,a\""; SIGNATURES_MAX + 1].join(",");
        assert_eq!(faults(&format!(r#"{{"headers":{{"webhook-signature":[{many}]}},"body":""}}"#)), ["/headers"]);
        let many = vec!["\"a\""; HEADERS_MAX].join(",");
        assert_eq!(faults(&format!(r#"{{"headers":{{"x":[{many}],"y":"z"}},"body":""}}"#)), ["/headers"]);
    }

    #[test]
    fn headers_are_found_under_the_names_that_servers_give_them() {
        for name in ["webhook-id", "Webhook-Id", "WEBHOOK-ID", "HTTP_WEBHOOK_ID", "webhook_id", " webhook-id "] {
            let headers = Headers::new([(name.to_owned(), "evt_1".to_owned())]).expect("a header");
            assert_eq!(headers.first(ID), Some("evt_1"), "{name}");
        }
        let of = |name: &str, values: &[&str]| {
            let values = values.iter().map(|value| (name.to_owned(), (*value).to_owned()));
            Headers::new(values).expect("headers")
        };
        assert_eq!(of(STANDARD, &["v1,a v1,b", "v1,c, v1,d"]).entries(), ["v1,a", "v1,b", "v1,c", "v1,d"]);
        assert_eq!(of(BODY_HMAC, &["a, b", "v1,c"]).body_hmacs(), ["a", " b", "v1,c"]);
    }

    #[test]
    fn the_events_of_a_request_are_named_by_its_header_and_its_body() {
        const ID: &str = "evt_01JMCA06DW8R3VZQ6N0K4T2W7Y";
        let request = |id: &str, body: &str| Received {
            headers: Headers::new([("webhook-id".to_owned(), id.to_owned())]).expect("a header"),
            body: body.as_bytes().to_vec(),
            at: None,
            computed: None,
        };
        let expected: EventId = ID.parse().expect("an id");
        for (id, body) in
            [(ID, "{}"), (&ID.to_lowercase(), "x"), ("äöü", &format!("{{\"id\": \"{ID}\"}}")), (ID, "\"id\"")]
        {
            assert_eq!(request(id, body).event_ids(), [expected]);
        }
        assert!(request("", "{\"id\":7}").event_ids().is_empty());
    }
}
