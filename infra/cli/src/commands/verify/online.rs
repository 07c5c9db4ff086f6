//! What the API is sent to judge a saved request.

use super::{SavedRequest, Verify};
use crate::{
    client::signatures::{HeaderValues, ReceivedRequest},
    usage::UsageError,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeMap;

/// The headers that are not sent, because they are credentials that say nothing about signatures.
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// Returns the body of the request to the API. It has no secret, unless the user asks for that.
///
/// # Errors
/// Several secrets are to be sent.
pub(super) fn body(verify: &Verify, request: &SavedRequest) -> Result<ReceivedRequest, UsageError> {
    if verify.secrets.len() > 1 {
        return Err(UsageError::new("--send-secret sends one secret: give --secret once"));
    }
    let mut headers: BTreeMap<String, HeaderValues> = BTreeMap::new();
    for (name, value) in request.headers().iter().filter(|(name, _)| !CREDENTIALS.contains(&name.as_str())) {
        let values = match headers.remove(name) {
            None => HeaderValues::One(value.clone()),
            Some(HeaderValues::One(first)) => HeaderValues::Several(vec![first, value.clone()]),
            Some(HeaderValues::Several(values)) => HeaderValues::Several([values, vec![value.clone()]].concat()),
        };
        headers.insert(name.clone(), values);
    }
    let text = std::str::from_utf8(&request.body).ok();
    Ok(ReceivedRequest {
        webhook_id: verify.webhook,
        headers,
        body: text.map(str::to_owned),
        body_base64: text.is_none().then(|| STANDARD.encode(&request.body)),
        secret: verify.secrets.first().cloned(),
        received_at: verify.received_at.as_ref().map(|moment| moment.0.clone()),
        computed: verify.computed.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_headers_are_kept_and_credentials_are_not_sent() {
        let saved = b"POST / HTTP/1.1\r\nAuthorization: Bearer abc\r\nX-A: 1\r\nCookie: c\r\nx-a: 2\r\nX-B: 3\r\nX-a: 4\r\n\r\n\xff";
        let request = SavedRequest::parse(saved).expect("a request");
        let verify = Verify {
            file: "-".to_owned(),
            secrets: vec![],
            webhook: None,
            send_secret: false,
            headers: vec![],
            received_at: None,
            computed: None,
        };
        let sent = serde_json::to_value(body(&verify, &request).expect("a body")).expect("JSON");
        let expected = serde_json::json!({ "headers": { "x-a": ["1", "2", "4"], "x-b": "3" }, "body_base64": "/w==" });
        assert_eq!(sent, expected);
    }
}
