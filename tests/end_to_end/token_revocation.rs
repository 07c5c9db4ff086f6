//! A revoked token stops working everywhere within a minute, though every process remembers tokens for a while.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::simulated_day::World;

async fn call(process: &Router, token: &str, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("Authorization", format!("Bearer {token}"));
    let request = request.header("Content-Type", "application/json").body(Body::from(body.to_string()));
    let answer = process.clone().oneshot(request.expect("a request")).await.expect("a router always answers");
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 100_000).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_revocation_is_honoured_by_processes_that_remember_the_token() {
    let world = World::new().await;
    let platform = world.platform_token().await;
    let [here, there] = [(); 2].map(|()| api::router(world.api.clone()));
    let issue = json!({ "account": "acme" });
    let (status, issued) = call(&here, &platform, Method::POST, "/v1/tokens", &issue).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = issued["token"].as_str().expect("a token");
    let list = async |process: &Router| call(process, token, Method::GET, "/v1/webhooks", &Value::Null).await.0;
    assert_eq!([list(&here).await, list(&there).await], [StatusCode::OK; 2]);

    let path = format!("/v1/tokens/{}", issued["id"].as_str().expect("an id"));
    let (status, _) = call(&here, &platform, Method::DELETE, &path, &Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let mut remembered = Duration::ZERO;
    while [list(&here).await, list(&there).await] != [StatusCode::UNAUTHORIZED; 2] {
        world.wait(Duration::from_secs(1));
        remembered += Duration::from_secs(1);
        assert!(remembered <= Duration::from_secs(60), "a revocation is honoured within a minute");
    }
}
