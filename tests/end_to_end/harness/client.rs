//! A small client of the HTTP API, for requests of any kind, well formed or not.

use std::net::Ipv4Addr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The longest wait for a state that the API shows. It is generous, since only a failing test
/// reaches it.
const DEADLINE: Duration = Duration::from_secs(30);
/// The wait between two polls of a state.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A client with one token. It is cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    base: String,
    token: Option<String>,
    account: Option<String>,
    idempotency_key: Option<String>,
    header: Option<(&'static str, String)>,
}

/// A response of the API.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// All headers.
    pub(crate) headers: HeaderMap,
    /// The body, unparsed.
    pub(crate) text: String,
}

/// A webhook as its registration returned it.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    /// `wh_…`.
    pub(crate) id: String,
    /// The signing secret as the user sees it.
    pub(crate) secret: String,
}

impl Api {
    pub(crate) fn new(base: &str, token: Option<&str>, account: Option<&str>) -> Self {
        let [token, account] = [token, account].map(|value| value.map(str::to_owned));
        Self { client: client(base), base: base.to_owned(), token, account, idempotency_key: None, header: None }
    }

    /// The same client with another token, or with none.
    pub(crate) fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// `http://HOST:PORT`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The same client with another account in the header `Hookline-Account`.
    pub(crate) fn with_account(&self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self.clone() }
    }

    /// The same client with an `Idempotency-Key` on every request.
    pub(crate) fn with_idempotency_key(&self, key: &str) -> Self {
        Self { idempotency_key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same client with one more header on every request.
    pub(crate) fn with_header(&self, name: &'static str, value: &str) -> Self {
        Self { header: Some((name, value.to_owned())), ..self.clone() }
    }

    /// Sends a request with exactly this body; `Err` if no complete response arrives.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(account) = &self.account {
            request = request.header("Hookline-Account", account);
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value);
        }
        if let Some((content_type, bytes)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(bytes);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, text: response.text().await? })
    }

    /// As [`Self::try_send`], but panics if no complete response arrives.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Reply {
        let what = format!("{method} {path}");
        self.try_send(method, path, body).await.unwrap_or_else(|error| panic!("{what} got no response: {error:?}"))
    }

    /// Sends a JSON text unchanged.
    pub(crate) async fn send_text(&self, method: Method, path: &str, text: &str) -> Reply {
        self.send(method, path, Some(("application/json", text.as_bytes().to_vec()))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send_text(Method::POST, path, &body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send_text(Method::PATCH, path, &body.to_string()).await
    }

    /// Registers a webhook without a secret of its own, so that the API generates one.
    pub(crate) async fn register(&self, url: &str, events: &[&str]) -> Registered {
        self.register_as(&json!({ "url": url, "events": events })).await
    }

    /// Registers a webhook with a given body.
    pub(crate) async fn register_as(&self, body: &Value) -> Registered {
        let webhook = self.post("/v1/webhooks", body).await.expect(201);
        Registered { id: text(&webhook["id"]), secret: text(&webhook["secret"]) }
    }

    /// Publishes an event of `kind` with a small payload. The text of the reply is the body that
    /// will be delivered.
    pub(crate) async fn publish(&self, kind: &str) -> Reply {
        self.publish_as(&json!({ "type": kind, "data": { "object": { "id": "res_xyz789", "name": "Nom é" } } })).await
    }

    /// Publishes an event with a given body.
    pub(crate) async fn publish_as(&self, body: &Value) -> Reply {
        let reply = self.post("/v1/events", body).await;
        reply.expect(202);
        reply
    }

    /// Waits for the delivery of an event to a webhook, and returns it.
    pub(crate) async fn delivery(&self, event: &str, webhook: &str) -> Value {
        let event = self.get_when(&format!("/v1/events/{event}"), |event| for_webhook(event, webhook).is_some()).await;
        let id = text(&for_webhook(&event, webhook).expect("the event was just shown with it")["id"]);
        self.get(&format!("/v1/deliveries/{id}")).await.expect(200)
    }

    /// Waits until that delivery satisfies `wanted`, and returns it.
    pub(crate) async fn delivery_when(&self, event: &str, webhook: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let id = text(&self.delivery(event, webhook).await["id"]);
        self.get_when(&format!("/v1/deliveries/{id}"), wanted).await
    }

    /// Polls `path` until its JSON satisfies `wanted`, and returns it.
    pub(crate) async fn get_when(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let value = self.get(path).await.expect(200);
            if wanted(&value) {
                return value;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} stays at {value:#}");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

impl Reply {
    /// Checks the status; returns the JSON body.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if status == 204 {
            assert_eq!(self.text, "", "a 204 has no body");
            return Value::Null;
        }
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text);
        self.json()
    }

    /// Checks that the reply is a complete problem document with this status; returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let problem = self.json();
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {problem:#}");
        }
        assert_eq!(problem["status"], status, "{problem:#}");
        problem
    }

    /// The JSON Pointers of a 422's faults, sorted and without duplicates, since one member may
    /// have several faults.
    ///
    /// On the wire each pointer is a URI fragment (`#/url`), as in the example of RFC 9457. The `#`
    /// is removed here.
    #[track_caller]
    pub(crate) fn faults(&self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {problem:#}"));
        assert!(errors.iter().all(|error| error["detail"].is_string()), "a fault has no detail: {problem:#}");
        let mut pointers: Vec<_> = errors.iter().map(|error| text(&error["pointer"])).collect();
        for pointer in &mut pointers {
            *pointer = pointer.strip_prefix('#').unwrap_or_else(|| panic!("{pointer} should start with #")).to_owned();
        }
        pointers.sort();
        pointers.dedup();
        pointers
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The member `id` of the body.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        text(&self.json()["id"])
    }

    /// The body, parsed as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }
}

/// The text of a JSON string; any other value panics.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} should be a string")).to_owned()
}

/// The items of a page, its member `data`.
#[track_caller]
pub(crate) fn data(page: &Value) -> &[Value] {
    page["data"].as_array().unwrap_or_else(|| panic!("no data in {page:#}"))
}

/// Parses a time of the API, RFC 3339 in UTC, into milliseconds since 1970.
#[track_caller]
pub(crate) fn millis(value: &Value) -> i64 {
    let text = text(value);
    assert!(text.ends_with('Z'), "{text} should be in UTC");
    let format = &time::format_description::well_known::Rfc3339;
    let moment = time::OffsetDateTime::parse(&text, format).unwrap_or_else(|error| panic!("{text}: {error}"));
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).expect("a time of this century")
}

/// The whole number in a JSON value; any other value panics.
#[track_caller]
pub(crate) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} should be a whole number"))
}

/// Posts a body to any URL, as a sender of deliveries would; returns the status.
pub(crate) async fn post_to(url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> u16 {
    let mut request = client(url).post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap_or_else(|error| panic!("{url} did not respond: {error:?}")).status().as_u16()
}

#[allow(clippy::disallowed_methods, reason = "a test is a client of the API, not the product's sender of deliveries")]
fn client(base: &str) -> Client {
    let url = reqwest::Url::parse(base).unwrap_or_else(|error| panic!("{base}: {error}"));
    let host = url.host_str().unwrap_or_default();
    // Names below `localhost` mean this machine (RFC 6761), but not every resolver knows them.
    let address = (Ipv4Addr::LOCALHOST, url.port_or_known_default().unwrap_or_default()).into();
    let resolved =
        if host.ends_with(".localhost") { Client::builder().resolve(host, address) } else { Client::builder() };
    resolved
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_mins(1))
        .build()
        .expect("a client without options that can fail")
}

/// The delivery to `webhook` among those that an event is shown with.
fn for_webhook<'a>(event: &'a Value, webhook: &str) -> Option<&'a Value> {
    event["deliveries"].as_array()?.iter().find(|delivery| delivery["webhook_id"] == webhook)
}
