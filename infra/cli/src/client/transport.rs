//! Sending requests to the API.

use super::{
    Answer, Error,
    call::Call,
    error::{Problem, Refusal},
};
use crate::connection::Connection;
use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use reqwest::redirect;
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;

/// Time to connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for one request with its whole answer. API Gateway ends a request after 30 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
/// The most bytes of an answer. Lambda's limit is 6 MB.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How often a request is sent in all, if that is safe.
const TRIES_MAX: u32 = 4;
/// The wait before a request is sent again, if the server does not name one. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest `Retry-After` that is waited for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A client of the API with one token. It is cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
}

/// An answer whose status is not judged yet.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Client {
    /// Creates a client. This prepares TLS, which takes some milliseconds.
    #[allow(
        clippy::disallowed_methods,
        reason = "a client of the API. Requests to receivers go through the crate endpoint"
    )]
    pub(crate) fn new(connection: &Connection) -> Result<Self, Error> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("hookline-cli/", env!("CARGO_PKG_VERSION")));
        // A proxy of the environment cannot reach this machine's loopback.
        let builder = if connection.is_loopback() { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| Error::connection(&connection.url, error))?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &connection.token {
            headers.insert(AUTHORIZATION, token.header());
        }
        if let Some(account) = &connection.account {
            let account = HeaderValue::from_str(account.as_str()).expect("an account's name is visible ASCII");
            headers.insert("hookline-account", account);
        }
        Ok(Self { http, url: connection.url.clone(), headers })
    }

    /// Sends a call and reads its answer.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<Answer<T>, Error> {
        let reply = self.send(&call).await?;
        // A 204 has no body. Its type is `()`, which is `null` in JSON.
        let text = if reply.status == StatusCode::NO_CONTENT { "null" } else { &reply.text };
        match serde_json::from_str(text) {
            Ok(value) => Ok(Answer { value, json: reply.text }),
            Err(cause) => Err(Error::Unreadable { operation: call.operation.id, cause }),
        }
    }

    /// Sends a call until it succeeds, or must not be sent again.
    async fn send(&self, call: &Call) -> Result<Reply, Error> {
        let (mut tries, mut wait) = (1, FIRST_WAIT);
        loop {
            let error = match self.send_once(call).await {
                Ok(reply) if reply.status.is_success() => return Ok(reply),
                Ok(reply) => self.refusal(&reply, tries),
                Err(error) => error,
            };
            let wait_now = error.retry_after().unwrap_or(wait);
            if !call.is_repeatable() || !error.is_passing() || tries == TRIES_MAX || wait_now > WAIT_MAX {
                return Err(error);
            }
            tokio::time::sleep(wait_now).await;
            tries += 1;
            wait *= 2;
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Reply, Error> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}", self.url.path().trim_end_matches('/'), call.path));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.http.request(call.operation.method.clone(), url).headers(self.headers.clone());
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let failed = |error| Error::connection(&self.url, error);
        let mut response = request.send().await.map_err(failed)?;
        let mut bytes = vec![];
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::TooLong { bytes_max: ANSWER_BYTES_MAX });
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Reply { status: response.status(), headers: response.headers().clone(), text })
    }

    /// Reads an answer that is no success.
    fn refusal(&self, reply: &Reply, tries: u32) -> Error {
        let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after = header(RETRY_AFTER.as_str()).and_then(|value| value.trim().parse().ok());
        let refusal = Refusal {
            url: self.url.clone(),
            status: reply.status,
            problem: serde_json::from_str::<Problem>(&reply.text).ok(),
            request_id: header("x-request-id").map(str::to_owned),
            retry_after: retry_after.map(Duration::from_secs),
            with_token: self.headers.contains_key(AUTHORIZATION),
            tries,
        };
        Error::Refused(Box::new(refusal))
    }
}
