//! Hostile requests: with another account's token, with no token, with invented ids and cursors,
//! with malicious JSON. They reveal nothing, change nothing, and are answered with a problem.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::client::{Api, Reply, data, text};
use crate::harness::receiver::Receiver;
use crate::harness::stack::{Options, Stack};

/// An id of the right form that no object has.
const UNUSED: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// An operation of the API, from its OpenAPI document.
struct Operation {
    method: Method,
    path: String,
    /// The scopes, one of which the token must have. An entry with a space asks for several. Empty if the operation needs no token.
    scopes: Vec<String>,
}

impl Operation {
    /// Whether only the token of a session of the portal may ask for it.
    fn is_of_a_session(&self) -> bool {
        self.method == Method::DELETE && self.path == "/v1/portal-sessions"
    }
}

/// All operations of the OpenAPI document that the stack serves.
async fn operations(api: &Api) -> Vec<Operation> {
    let document = api.get("/v1/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            assert!(operation["security"].is_array(), "{method} {path} says whether it needs a token");
            let scopes = operation["x-scopes"].as_array().cloned().unwrap_or_default();
            let method = method.to_uppercase().parse().expect("a method");
            operations.push(Operation { method, path: path.clone(), scopes: scopes.iter().map(text).collect() });
        }
    }
    assert!(operations.len() > 20, "the document lists every operation: {}", operations.len());
    operations
}

/// A valid body for the operation, or `None` if it takes none.
fn body_of(operation: &Operation, webhook: &str) -> Option<Value> {
    let body = match (operation.method.as_str(), operation.path.as_str()) {
        ("POST", "/v1/webhooks") => json!({ "url": "https://example.com/", "events": ["*"] }),
        ("PATCH", _) => json!({ "description": "taken over" }),
        ("POST", "/v1/webhooks/test") => json!({ "webhook_id": webhook, "event_type": "user.created" }),
        ("POST", path) if path.ends_with("/recover") => json!({ "since": "2020-01-01T00:00:00Z" }),
        ("POST", path) if path.ends_with("/rotate-secret") => json!({ "secret": "a-secret-of-the-rivals" }),
        ("POST", "/v1/signatures/debug") => json!({ "webhook_id": webhook, "headers": {}, "body": "" }),
        ("POST", "/v1/filters/test") => {
            json!({ "filter": { "type": ["user.created"] }, "type": "user.created", "data": { "object": {} } })
        }
        ("POST", "/v1/portal-sessions") => json!({ "code": "of-nobody" }),
        ("POST", "/v1/events" | "/v1/events/dry-run") => json!({ "type": "user.created", "data": { "object": {} } }),
        ("POST", "/v1/events/batch") => json!({ "events": [{ "type": "user.created", "data": { "object": {} } }] }),
        ("POST", "/v1/event-types") => json!({ "name": "rival.type" }),
        ("POST", "/v1/tokens") => json!({ "account": "acme" }),
        _ => return None,
    };
    Some(body)
}

/// Sends the operation with these ids in its path, and with a valid body.
async fn ask(api: &Api, operation: &Operation, ids: &Ids) -> Reply {
    let path = ids.put_into(&operation.path);
    let body = body_of(operation, &ids.webhook).map(|body| ("application/json", body.to_string().into_bytes()));
    api.send(operation.method.clone(), &path, body).await
}

/// The ids that replace `{id}` and `{recovery_id}` in the paths.
#[derive(Clone, Debug)]
struct Ids {
    webhook: String,
    recovery: String,
    event: String,
    delivery: String,
    token: String,
}

impl Ids {
    fn unused() -> Self {
        let id = |prefix| format!("{prefix}{UNUSED}");
        Self {
            webhook: id("wh_"),
            recovery: id("rcv_"),
            event: id("evt_"),
            delivery: format!("dlv_{UNUSED}{UNUSED}"),
            token: id("tok_"),
        }
    }

    /// The same text for every id.
    fn all(text: &str) -> Self {
        let text = text.to_owned();
        let [webhook, recovery, event, delivery] = std::array::from_fn(|_| text.clone());
        Self { webhook, recovery, event, delivery, token: text }
    }

    fn put_into(&self, path: &str) -> String {
        let id = match path.split('/').nth(2).unwrap_or_default() {
            "webhooks" => &self.webhook,
            "events" => &self.event,
            "deliveries" => &self.delivery,
            _ => &self.token,
        };
        path.replace("{id}", id).replace("{recovery_id}", &self.recovery).replace("{name}", id)
    }
}

/// Issues an account token; returns a client that uses it, and the token's id.
async fn issue(platform: &Api, account: &str, scopes: &[&str]) -> (Api, String) {
    let issued = platform.post("/v1/tokens", &json!({ "account": account, "scopes": scopes })).await.expect(201);
    (Api::new(platform.base(), Some(&text(&issued["token"])), None), text(&issued["id"]))
}

/// An account with one object of each kind: its client, the ids, and its receiver.
async fn victim(platform: &Api) -> (Api, Ids, Receiver) {
    let (acme, token) = issue(platform, "acme", &["manage", "publish"]).await;
    let receiver = Receiver::answering(200).await;
    let webhook = acme.register(&receiver.url("/"), &["user.created"]).await.id;
    let event = acme.publish("user.created").await.id();
    let delivery = acme.delivery_when(&event, &webhook, |delivery| delivery["status"] == "delivered").await;
    let recovery = acme.post(&format!("/v1/webhooks/{webhook}/recover"), &json!({})).await.expect(202);
    let [delivery, recovery] = [&delivery["id"], &recovery["id"]].map(text);
    (acme, Ids { webhook, recovery, event, delivery, token }, receiver)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_hides_another_accounts_objects() {
    let stack = Stack::start().await;
    let platform = stack.api();
    let (acme, ids, receiver) = victim(&platform).await;
    let (rival, _) = issue(&platform, "rival", &["manage", "publish"]).await;
    let state = async || {
        let mut seen = Vec::new();
        for path in ["/v1/webhooks", "/v1/events", "/v1/event-types"] {
            seen.push(acme.get(path).await.expect(200));
        }
        seen.push(acme.get(&format!("/v1/deliveries/{}", ids.delivery)).await.expect(200));
        seen
    };
    let before = state().await;
    for operation in operations(&platform).await.iter().filter(|operation| !operation.scopes.is_empty()) {
        let what = format!("{} {}", operation.method, operation.path);
        let reply = ask(&rival, operation, &ids).await;
        if operation.scopes == ["platform"] || operation.is_of_a_session() {
            reply.problem(403);
        } else if operation.path.contains("{id}")
            || ["/v1/webhooks/test", "/v1/signatures/debug"].contains(&operation.path.as_str())
        {
            reply.problem(404);
            // Another account's object gets the same bytes as a missing one.
            let unused = ask(&rival, operation, &Ids::unused()).await;
            assert_eq!((reply.status, &reply.text), (unused.status, &unused.text), "{what}");
        } else {
            assert!(reply.status < 300, "{what}: {}", reply.text);
            for id in [&ids.webhook, &ids.recovery, &ids.event, &ids.delivery, &ids.token] {
                assert!(!reply.text.contains(id.as_str()), "{what} shows {id}: {}", reply.text);
            }
        }
    }
    assert_eq!(state().await, before, "another account's request changed something");
    assert_eq!(receiver.seen().len(), 1, "another account's event arrived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_requires_its_scope() {
    let stack = Stack::start().await;
    let platform = stack.api();
    let (manager, _) = issue(&platform, "acme", &["manage"]).await;
    let (publisher, _) = issue(&platform, "acme", &["publish"]).await;
    for operation in operations(&platform).await {
        let what = format!("{} {}", operation.method, operation.path);
        for (api, scope) in [(&manager, "manage"), (&publisher, "publish")] {
            let reply = ask(api, &operation, &Ids::unused()).await;
            let has_scope = operation.scopes.is_empty() || operation.scopes.iter().any(|needed| needed == scope);
            let allowed = has_scope && !operation.is_of_a_session();
            assert_eq!(reply.status != 403, allowed, "{what} with {scope}: {} {}", reply.status, reply.text);
        }
        let reply = ask(&platform.with_token(None), &operation, &Ids::unused()).await;
        let refuses_all = operation.path == "/v1/portal-sessions"; // a code that is refused is a 401 too
        assert_eq!(
            reply.status == 401,
            refuses_all || !operation.scopes.is_empty(),
            "{what}: {} {}",
            reply.status,
            reply.text
        );
    }
}

/// Sends the bytes of a request and reads until the connection closes; returns the status and the
/// complete response.
async fn raw(api: &Api, request: &[u8]) -> (u16, String) {
    let address = api.base().strip_prefix("http://").expect("a local process");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    // A connection that is reset after the response counts as closed.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
}

/// Sends a GET request with these header lines.
async fn with_headers(api: &Api, path: &str, lines: &[u8]) -> (u16, String) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    raw(api, &[head.as_bytes(), lines, b"\r\n"].concat()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_and_accounts_are_read_from_one_well_formed_header() {
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let (api, token) = (stack.api(), stack.token());
    let good = format!("Authorization: Bearer {token}\r\n");
    for (lines, status) in [
        (good.clone(), 200),
        (format!("authorization: bEaReR   {token}\r\n"), 200),
        (String::new(), 401),
        ("Authorization:\r\n".to_owned(), 401),
        ("Authorization: Bearer\r\n".to_owned(), 401),
        ("Authorization: Bearer \r\n".to_owned(), 401),
        (format!("Authorization: {token}\r\n"), 401),
        (format!("Authorization: Basic {token}\r\n"), 401),
        (format!("Authorization: Bearer {token}x\r\n"), 401),
        (format!("Authorization: Bearer {}\r\n", token.to_uppercase()), 401),
        (format!("Authorization: Bearer {token},Bearer {token}\r\n"), 401),
        (format!("Authorization: Bearer {token}\u{e9}\r\n"), 401),
        (format!("Authorization: Bearer {}\r\n", "x".repeat(50_000)), 401),
        // A proxy in front may read one of two headers, and Hookline the other.
        (format!("{good}{good}"), 401),
        (format!("Authorization: Bearer nobodys\r\n{good}"), 401),
        (format!("{good}Authorization: Bearer nobodys\r\n"), 401),
        (format!("{good}Hookline-Account: acme\r\n"), 200),
        (format!("{good}Hookline-Account: acme\r\nHookline-Account: rival\r\n"), 400),
        (format!("{good}Hookline-Account: acme, rival\r\n"), 400),
        (format!("{good}Hookline-Account: acme#0\r\n"), 400),
        (format!("{good}Hookline-Account: #tokens\r\n"), 400),
        (format!("{good}Hookline-Account: \u{e9}\r\n"), 400),
    ] {
        let (found, answer) = with_headers(&api, "/v1/webhooks", lines.as_bytes()).await;
        assert_eq!(found, status, "{lines}: {answer}");
        assert!(found == 200 || answer.contains("application/problem+json"), "{lines}: {answer}");
        assert!(!answer.contains(token), "{answer}");
    }
    let key = "Idempotency-Key: one\r\nIdempotency-Key: two\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";
    let request = format!("POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{good}{key}\r\n{{}}");
    assert_eq!(raw(&api, request.as_bytes()).await.0, 400, "two idempotency keys are refused");
}

/// Ids that were never issued: with separators of keys and of paths, truncated, too long, in other
/// scripts, not UTF-8.
const ODD: [&str; 22] = [
    "%23",
    "%2F",
    "..%2F..%2Fetc%2Fpasswd",
    "%00",
    "%0d%0aX-Injected:%201",
    "%FF",
    "%C0%AF",
    "%ED%A0%80",
    "a%23b",
    "wh_",
    "evt_",
    "dlv_",
    "tok_",
    "%2523",
    "wh_01ARZ3NDEKTSV4RRFFQ69G5FA",
    "wh_01ARZ3NDEKTSV4RRFFQ69G5FAVV",
    "wh_81ARZ3NDEKTSV4RRFFQ69G5FAV",
    "wh_01arz3ndektsv4rrffq69g5fav",
    "evt_~",
    "%EF%BC%91",
    "%20",
    "*",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invented_id_is_404() {
    let stack = Stack::start().await;
    let api = stack.api();
    let long = "x".repeat(8000);
    for operation in operations(&api).await.iter().filter(|operation| operation.path.contains('{')) {
        for id in ODD.iter().copied().chain([long.as_str()]) {
            let reply = ask(&api, operation, &Ids::all(id)).await;
            assert_eq!(reply.status, 404, "{} {} {id}: {}", operation.method, operation.path, reply.text);
            reply.problem(404);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invented_or_foreign_cursor_shows_no_other_accounts_objects() {
    let stack = Stack::start().await;
    let platform = stack.api();
    let (acme, ids, _receiver) = victim(&platform).await;
    let (rival, _) = issue(&platform, "rival", &["manage", "publish"]).await;
    let own = rival.register("https://example.com/", &["payment.failed"]).await.id;
    let lists = ["/v1/webhooks".to_owned(), "/v1/events".to_owned(), format!("/v1/webhooks/{own}/deliveries")];
    for list in &lists {
        for cursor in [&ids.webhook, &ids.event, &ids.delivery, &ids.token].into_iter().map(String::as_str).chain(ODD) {
            for limit in [1, 100] {
                let reply = rival.get(&format!("{list}?limit={limit}&cursor={cursor}")).await;
                if reply.status == 200 {
                    let shown = data(&reply.json()).iter().all(|one| one["id"] == own.as_str());
                    assert!(shown, "{list} from {cursor}: {}", reply.text);
                } else {
                    assert_eq!(reply.faults(), ["/cursor"], "{list} from {cursor}");
                }
            }
        }
    }
    let page = acme.get(&format!("/v1/events/{}?cursor={own}", ids.event)).await.expect(200);
    assert_eq!(page["deliveries"].as_array().map_or(0, Vec::len), 0, "the cursor showed a delivery: {page:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malicious_json_is_answered_with_a_short_problem() {
    let stack = Stack::start().await;
    let api = stack.api();
    let event = |object: &str| format!(r#"{{"type":"user.created","data":{{"object":{object}}}}}"#).into_bytes();
    let fields = |count: usize| (0..count).map(|field| format!("\"f{field}\":0")).collect::<Vec<_>>().join(",");
    let long_name = format!("{{\"{}\":1}}", "\\u0000".repeat(30_000)).into_bytes();
    for (body, status) in [
        (b"\xef\xbb\xbf{}".to_vec(), 400),
        (b"{\"type\":\"\xff\"}".to_vec(), 400),
        (b"{\"type\":\"\xed\xa0\x80\"}".to_vec(), 400),
        (br#"{"type":"\ud800"}"#.to_vec(), 422),
        (br#"{"\ud800":1}"#.to_vec(), 422),
        (br#"{"type":"user.created\u0000"}"#.to_vec(), 422),
        (b"{\"type\":\"user.created\n\"}".to_vec(), 400),
        (br#"{"type":"user.created","type":"user.updated","data":{"object":{}}}"#.to_vec(), 422),
        (br#"{"type":"user.created","data":{"object":{}},"data":{"object":{}}}"#.to_vec(), 422),
        (format!("{}1{}", "[".repeat(200_000 / 2), "]".repeat(200_000 / 2)).into_bytes(), 422),
        (event(&format!("{}{}", "{\"a\":".repeat(200), "1}".repeat(200))), 400),
        (event(&format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200))), 422),
        (format!("{{{}}}", fields(20_000)).into_bytes(), 422),
        (long_name, 422),
        (b"{\"type\":\"user.created\",\"data\":{\"object\":{}}}{}".to_vec(), 400),
        (b"NaN".to_vec(), 400),
        (vec![b' '; 200_000], 400),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let reply = api.send(Method::POST, "/v1/events", Some(("application/json", body))).await;
        assert_eq!(reply.status, status, "{shown}: {}", &reply.text[..reply.text.len().min(500)]);
        reply.problem(status);
        assert!(reply.text.len() < 32 * 1024, "{shown}: an answer of {} bytes", reply.text.len());
    }
    let batch = format!("{{\"events\":[{{\"type\":\"user.created\",{}}}]}}", fields(18_000)).into_bytes();
    let reply = api.send(Method::POST, "/v1/events/batch", Some(("application/json", batch))).await;
    assert!(
        reply.expect(202)["data"][0]["status"] == 422 && reply.text.len() < 32 * 1024,
        "{} bytes",
        reply.text.len()
    );
    let query = (0..5000).map(|index| format!("p{index}=1")).collect::<Vec<_>>().join("&");
    let reply = api.get(&format!("/v1/webhooks?{query}")).await;
    assert!(reply.status == 422 && reply.text.len() < 32 * 1024, "{} {} bytes", reply.status, reply.text.len());
    // Numbers and strings that programs cannot represent exactly are delivered unchanged.
    for object in [r#"{"n":1e999999}"#, r#"{"n":-0.0,"m":123456789012345678901234567890}"#, r#"{"s":"\ud800"}"#] {
        let reply = api.send(Method::POST, "/v1/events", Some(("application/json", event(object)))).await;
        assert_eq!(reply.status, 202, "{object}: {}", reply.text);
        assert!(reply.text.contains(object), "{}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_text_never_becomes_a_header_line() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(200).await);
    let injection = "x\r\nX-Injected: 1\r\n\r\n";
    for (field, value) in [
        ("url", json!(format!("{}{injection}", receiver.url("/")))),
        ("events", json!([injection])),
        ("secret", json!(format!("a-secret-of-the-users-own{injection}"))),
    ] {
        let mut body = json!({ "url": receiver.url("/"), "events": ["*"] });
        body[field] = value;
        let reply = api.post("/v1/webhooks", &body).await;
        let faults = reply.faults();
        assert!(faults.iter().all(|pointer| pointer.starts_with(&format!("/{field}"))), "{faults:?}");
    }
    api.post("/v1/events", &json!({ "type": format!("user.created{injection}"), "data": { "object": {} } }))
        .await
        .problem(422);
    api.post("/v1/event-types", &json!({ "name": format!("user.{injection}") })).await.problem(422);
    // The description, the secret and the payload may contain line breaks. None of them is sent in
    // a header.
    let description = injection.repeat(10);
    let path = receiver.url("/a%0d%0aX-Injected:%201?b=%0d%0aX-Injected:%201");
    api.register_as(
        &json!({ "url": path, "events": ["*"], "description": description, "secret": "ein Geheimnis: äöü€" }),
    )
    .await;
    let object = json!({ "id": injection });
    api.publish_as(&json!({ "type": "user.created", "data": { "object": object } })).await;
    let seen = receiver.wait_for(1).await;
    assert!(seen[0].headers.keys().all(|name| !name.as_str().contains("injected")), "{:?}", seen[0].headers);
    assert!(seen[0].path.starts_with("/a%0d%0aX-Injected:%201?b=%0d%0aX"), "{}", seen[0].path);
    assert_eq!(seen[0].header("x-webhook-event"), "user.created");
}
