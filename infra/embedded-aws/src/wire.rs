//! The HTTP that the services share: the parts of a request's URL, and replies and errors in AWS's JSON protocols. Nothing here
//! belongs to a single service.

use crate::folder::says_damaged;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::json;

/// A service's reply to a request.
pub(super) struct Reply {
    /// The HTTP status, 200 to 599.
    pub(super) status: u16,
    /// Headers with the error's name, if the reply is an error.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The body, as JSON.
    pub(super) body: String,
}

/// An error as AWS describes it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    status: u16,
    code: &'static str,
    /// The whole body, if the service made one itself.
    body: Option<String>,
    /// The error's name in the query protocol, which SQS used before. Its SDKs still know errors by these names.
    query_code: Option<&'static str>,
    message: String,
    /// Whether the file is damaged.
    is_damage: bool,
}

impl Reply {
    /// Creates the reply to a successful request.
    pub(super) fn ok(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }
}

impl Fault {
    /// Creates an error with the HTTP status and the name that the service's model gives it.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, body: None, query_code: None, message: message.into(), is_damage: false }
    }

    /// Creates an error with a body that the service has made.
    pub(super) fn whole(status: u16, body: String) -> Self {
        Self { body: Some(body), ..Self::new(status, "", "") }
    }

    /// Creates a failure of AWS itself, which the SDK retries.
    pub(super) fn internal(message: &str) -> Self {
        Self::new(500, "InternalFailure", message)
    }

    /// Says whether the file is damaged.
    pub(super) fn of_damage(self, is_damage: bool) -> Self {
        Self { is_damage, ..self }
    }

    /// Whether the file is damaged.
    pub(super) fn is_damage(&self) -> bool {
        self.is_damage
    }

    /// Adds the name that the error has in the query protocol.
    pub(super) fn with_query_code(self, query_code: &'static str) -> Self {
        Self { query_code: Some(query_code), ..self }
    }

    /// Creates the error for a request that does not follow the protocol.
    pub(super) fn serialization(message: &str) -> Self {
        Self::new(400, "SerializationException", message)
    }

    /// Creates the error for an operation that the embedded AWS does not have.
    pub(super) fn unknown_operation(operation: &str) -> Self {
        Self::new(400, "UnknownOperationException", format!("not part of the embedded AWS: {operation}"))
    }

    /// Returns the name by which SDKs know the error.
    pub(super) fn code(&self) -> &'static str {
        self.query_code.unwrap_or(self.code)
    }

    /// Returns the error's message, a sentence for humans.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

/// A file that cannot be read or written to is a failure of AWS itself, which the SDK retries.
impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "the embedded AWS cannot read or write its file");
        Self::internal(&error.to_string()).of_damage(says_damaged(&error))
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        if let Some(body) = fault.body {
            return Self { status: fault.status, headers: Vec::new(), body };
        }
        let mut headers = vec![("x-amzn-errortype", fault.code.to_owned())];
        if let Some(code) = fault.query_code {
            headers.push(("x-amzn-query-error", format!("{code};Sender")));
        }
        // Some services call the field `message`, others `Message`.
        let body = json!({"__type": fault.code, "message": fault.message, "Message": fault.message});
        Self { status: fault.status, headers, body: body.to_string() }
    }
}

impl From<Reply> for HttpResponse {
    fn from(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::new(status.into(), SdkBody::from(reply.body));
        for (name, value) in reply.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Parses the JSON of a request.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::serialization(&error.to_string()))
}

/// Returns the path of an absolute or relative URL.
pub(super) fn path(uri: &str) -> &str {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |start| &after_scheme[start..]);
    path.split('?').next().unwrap_or_default()
}

/// Returns the value of a parameter in a URL's query, without decoding it.
pub(super) fn query_value<'a>(uri: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = uri.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_path_and_query_parameters() {
        let uri = "https://scheduler.us-east-1.amazonaws.com/schedules/one?groupName=hookline&clientToken=x";
        assert_eq!(path(uri), "/schedules/one");
        assert_eq!(query_value(uri, "groupName"), Some("hookline"));
        assert_eq!(query_value(uri, "group"), None);
        assert_eq!(path("https://sqs.us-east-1.amazonaws.com"), "");
    }
}
