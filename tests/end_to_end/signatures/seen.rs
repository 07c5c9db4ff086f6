//! A delivery as a receiver saw it, to be changed and debugged.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::harness::client::{Api, Reply, text};
use crate::harness::receiver::Received;

/// A request, and what its receiver gives beside it.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) headers: Map<String, Value>,
    pub(super) body: Vec<u8>,
    /// `webhook_id`, `secret`, `received_at`, `computed`.
    pub(super) given: Map<String, Value>,
}

impl Seen {
    pub(super) fn of(request: &Received) -> Self {
        let value = |value: &reqwest::header::HeaderValue| json!(value.to_str().expect("ASCII"));
        let headers = request.headers.iter().map(|(name, one)| (name.to_string(), value(one))).collect();
        Self { headers, body: request.body.clone(), given: Map::new() }
    }

    pub(super) fn header(&self, name: &str) -> String {
        text(&self.headers[name])
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name).unwrap_or_else(|| panic!("{name} should be there"));
        self
    }

    pub(super) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(super) fn given(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.given.insert(name.to_owned(), value.into());
        self
    }

    /// The body that describes it: with text where it is text, and otherwise with bytes.
    pub(super) fn description(&self) -> Value {
        let mut described = self.given.clone();
        described.insert("headers".to_owned(), self.headers.clone().into());
        match std::str::from_utf8(&self.body) {
            Ok(body) => described.insert("body".to_owned(), body.into()),
            Err(_) => described.insert("body_base64".to_owned(), BASE64.encode(&self.body).into()),
        };
        described.into()
    }

    pub(super) async fn ask(&self, api: &Api) -> Reply {
        api.post("/v1/signatures/debug", &self.description()).await
    }

    pub(super) async fn debug(&self, api: &Api) -> Value {
        let answer = self.ask(api).await.expect(200);
        assert_eq!(answer.as_object().map(Map::len), Some(2), "valid and findings: {answer:#}");
        answer
    }
}

/// The codes of an answer for a header, each once.
pub(super) fn codes(answer: &Value, header: &str) -> Vec<String> {
    let findings = answer["findings"].as_array().unwrap_or_else(|| panic!("no findings in {answer:#}"));
    let of_header = findings.iter().filter(|finding| finding["header"] == header);
    let mut codes: Vec<_> = of_header.map(|finding| text(&finding["code"])).collect();
    codes.dedup();
    codes
}
