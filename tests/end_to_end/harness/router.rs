//! The API's router in this process: requests without a socket, for tests that control the clock or
//! AWS.

use application::App;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use serde_json::Value;
use tower::ServiceExt;

/// One process of the API, and the token and the account of the requests to it.
#[derive(Clone)]
pub(crate) struct ApiProcess {
    router: Router,
    token: String,
    account: &'static str,
    header: Option<(&'static str, &'static str)>,
}

impl ApiProcess {
    /// Starts a process on `app`. Its requests carry `token` and name the account `acme`.
    pub(crate) fn new(app: &App, token: &str) -> Self {
        Self { router: api::router(app.clone()), token: token.to_owned(), account: "acme", header: None }
    }

    /// The same process, with another token in the requests.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The same process, with another account in the requests.
    pub(crate) fn with_account(&self, account: &'static str) -> Self {
        Self { account, ..self.clone() }
    }

    /// The same process, with one more header in the requests.
    pub(crate) fn with_header(&self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self.clone() }
    }

    /// Sends a request; returns the response, its body unread.
    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Response<Body> {
        let (name, value) = self.header.unwrap_or(("User-Agent", "test"));
        let request = Request::builder()
            .header(name, value)
            .method(method)
            .uri(path)
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Hookline-Account", self.account)
            .header("Content-Type", "application/json")
            .body(body.into())
            .expect("a request");
        self.router.clone().oneshot(request).await.expect("a router always answers")
    }

    /// Sends a JSON body, or none for `null`; returns the status and the JSON of the response.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.send(method, path, body).await;
        (response.status().as_u16(), body_of(response).await)
    }
}

/// The JSON body of a response, or `null` where it has none.
pub(crate) async fn body_of(response: Response<Body>) -> Value {
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") }
}
