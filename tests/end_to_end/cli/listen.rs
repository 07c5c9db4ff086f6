//! `hookline listen`: what arrives at the receiver, and what is printed.

use serde_json::{Value, json};

use crate::harness::client::{Api, data, text};
use crate::harness::hookline::Hookline;
use crate::harness::program::Program;
use crate::harness::receiver::{Received, Receiver};
use crate::harness::signature::check;
use crate::harness::stack::Stack;

/// A running `hookline listen`, and the signing secret that it has printed.
pub(super) struct Listener {
    pub(super) program: Program,
    pub(super) secret: String,
}

/// Starts a listener that forwards to `receiver`. It has begun when this returns.
pub(super) async fn listen(user: &Hookline, receiver: &Receiver, arguments: &[&str]) -> Listener {
    listen_to(user, &receiver.url("/in?a=b"), arguments).await
}

/// Starts a listener that forwards to a URL.
pub(super) async fn listen_to(user: &Hookline, url: &str, arguments: &[&str]) -> Listener {
    let program = user.spawn(&[&["listen", "--forward-to", url], arguments].concat());
    let secret = if arguments.contains(&"--json") {
        let secret =
            |lines: &[String]| lines.iter().find_map(|line| line.strip_prefix("Signing secret: ").map(str::to_owned));
        program.error_lines("the signing secret", secret).await
    } else {
        program.line("the signing secret", |line| line.strip_prefix("signing secret  ").map(str::to_owned)).await
    };
    Listener { program, secret }
}

/// The events of requests, in order.
pub(super) fn events(requests: &[std::sync::Arc<Received>]) -> Vec<String> {
    requests.iter().map(|request| request.event().to_owned()).collect()
}

/// The account's webhooks.
pub(super) async fn webhooks(api: &Api) -> Vec<Value> {
    data(&api.get("/v1/webhooks").await.expect(200)).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_as_they_were_published_with_signatures_that_hold() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(204).await);
    api.publish("user.created").await;
    let mut listener = listen(&Hookline::of(&stack), &receiver, &[]).await;
    let mut published = vec![];
    for number in 0..120 {
        let event_type = ["user.created", "resource.updated"][number % 2];
        let data = json!({ "object": { "number": number, "text": "é \" \\ \u{1f600} </script>", "price": 1.10 } });
        published
            .push(api.publish_as(&json!({ "type": event_type, "data": data, "previous_data": { "number": 0 } })).await);
    }
    let seen = receiver.wait_for(published.len()).await;
    let arrived = events(&seen);
    let ids: Vec<_> = published.iter().map(|event| event.id()).collect();
    // An event that is stored while a poll reads may come after one with a newer id.
    let mut sorted = arrived.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ids, "each once, and none from before the start");
    for request in &seen {
        let event = published.iter().find(|event| event.id() == request.event()).expect("it was published");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/in?a=b"));
        assert_eq!(String::from_utf8_lossy(&request.body), event.text, "the exact bytes");
        check(request, &listener.secret);
        assert_eq!(request.header("x-webhook-event"), event.json()["type"]);
        assert_eq!((request.attempt(), request.header("content-type")), (1, "application/json"));
        assert!(request.header("user-agent").starts_with("Hookline/"), "{:?}", request.headers);
        assert!(!request.headers.contains_key("authorization"), "the token is for the API alone");
    }
    let lines = listener.program.lines("a line for each", |lines| {
        let attempts: Vec<_> = lines.iter().filter(|line| line.contains("evt_")).cloned().collect();
        (attempts.len() == ids.len()).then_some(attempts)
    });
    for (line, id) in lines.await.iter().zip(&arrived) {
        assert!(line.contains(&format!("  {id}  204  ")) && line.ends_with(" ms"), "{line}");
    }
    assert!(listener.program.end_by("INT").await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_get_one_object_for_each_attempt_and_nothing_else_on_stdout() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let listener = listen(&Hookline::of(&stack), &receiver, &["--json"]).await;
    let event = stack.api().publish("user.created").await.id();
    let seen = receiver.wait_for(1).await;
    check(&seen[0], &listener.secret);
    let lines = listener.program.lines("a line", |lines| (!lines.is_empty()).then(|| lines.to_vec())).await;
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let shown = json!({
        "at": line["at"], "event_id": event, "type": "user.created", "attempt": 1, "status": 200, "error": null,
        "duration_ms": line["duration_ms"],
    });
    assert_eq!(line, shown);
    assert!(line["duration_ms"].is_u64() && text(&line["at"]).ends_with('Z'), "{line:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_asked_for_is_forwarded() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let filter = user.file("filter.json", "{\n  \"data\": { \"object\": { \"plan\": [\"pro\"] } }\n}\n");
    let arguments = ["--events", "user.*,payment.failed", "--filter", &filter];
    let _listener = listen(&user, &receiver, &arguments).await;
    let publish = async |event_type: &str, plan: &str| {
        let event = json!({ "type": event_type, "data": { "object": { "plan": plan } } });
        stack.api().publish_as(&event).await.id()
    };
    publish("resource.created", "pro").await;
    publish("user.created", "free").await;
    let wanted = [publish("user.updated", "pro").await, publish("payment.failed", "pro").await];
    assert_eq!(events(&receiver.wait_for(2).await), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_the_receiver_is_sent_and_not_shown() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let url = receiver.url("/").replace("http://", "http://dev:hidden@");
    let mut listener = listen_to(&Hookline::of(&stack), &url, &[]).await;
    stack.api().publish("user.created").await;
    let seen = receiver.wait_for(1).await;
    assert!(seen[0].header("authorization").starts_with("Basic "), "{:?}", seen[0].headers);
    listener.program.send("TERM").await;
    let (_, stdout, stderr) = listener.program.end().await;
    assert!(stdout[0].contains("http://dev:***@127.0.0.1:"), "{stdout:#?}");
    assert!(stdout.iter().chain(&stderr).all(|line| !line.contains("hidden")), "{stdout:#?} {stderr:#?}");
}
