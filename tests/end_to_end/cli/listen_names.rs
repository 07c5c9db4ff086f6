//! `hookline listen --name`: the next start goes on where the last one ended, however it ended.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::listen::{events, listen, webhooks};
use crate::harness::client::text;
use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

const MINE: &[&str] = &["--name", "mine"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_next_start_goes_on() {
    let stack = Stack::start().await;
    let (api, user, receiver) = (stack.api(), Hookline::of(&stack), Receiver::answering(200).await);
    let (mut expected, mut secrets) = (vec![], vec![]);
    for run in 0..3 {
        let mut listener = listen(&user, &receiver, MINE).await;
        expected.push(api.publish("user.created").await.id());
        expected.push(api.publish("user.updated").await.id());
        let last = expected.last().expect("it was just published").clone();
        listener.program.line("the last event", |line| line.contains(&last).then_some(())).await;
        // The last run ends by Ctrl-C, which is no different.
        listener.program.end_by(if run < 2 { "KILL" } else { "INT" }).await;
        expected.push(api.publish("user.created").await.id());
        secrets.push(listener.secret);
    }
    let _listener = listen(&user, &receiver, MINE).await;
    assert_eq!(events(&receiver.wait_for(expected.len()).await), expected, "each once, in order");
    assert!(secrets.iter().all(|secret| *secret == secrets[0]), "the receiver keeps its secret");
    let webhooks = webhooks(&api).await;
    let [webhook] = webhooks.as_slice() else { panic!("one webhook for a name: {webhooks:#?}") };
    assert_eq!([&webhook["delivery"], &webhook["expires_at"]], [&json!("poll"), &Value::Null]);
    assert_eq!(webhook["description"], "hookline listen --name mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_under_way_is_finished_before_the_end() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let receiver = Receiver::in_turn(vec![Answer::status(200).after_ms(1000), Answer::status(200)]).await;
    let ids = [stack.api().publish("user.created").await.id(), stack.api().publish("user.updated").await.id()];
    let arguments = [MINE, &["--from", "start"]].concat();
    let mut listener = listen(&user, &receiver, &arguments).await;
    receiver.wait_for(1).await;
    assert!(listener.program.end_by("TERM").await.success());
    assert_eq!(receiver.seen().len(), 1, "no further attempt begins");
    let _listener = listen(&user, &receiver, MINE).await;
    assert_eq!(events(&receiver.wait_for(2).await), ids, "nothing is repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_one_name_and_a_name_of_another_api_are_refused() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let mut first = listen(&user, &receiver, MINE).await;
    let start = ["listen", "--forward-to", "3000", "--name", "mine"];
    let second = user.run(&start).await;
    let said = "another `hookline listen --name mine` is running: end it, or choose another name";
    assert_eq!(second.error(1), format!("error: {said}\n"));
    let mut other = listen(&user, &receiver, &["--name", "other"]).await;
    assert!(other.program.end_by("INT").await.success(), "another name is no hindrance");

    assert!(first.program.end_by("INT").await.success());
    let elsewhere = user.run(&[&start[..], &["--url", "http://127.0.0.1:9"]].concat()).await;
    let error = elsewhere.error(2);
    assert!(error.contains(&format!("belongs to a listener on {}/", stack.base())), "{error}");
    assert!(error.contains("choose another --name"), "{error}");
    if stack.account().is_none() {
        let elsewhere = user.run(&[&start[..], &["--account", "acme"]].concat()).await;
        assert!(elsewhere.error(2).contains("choose another --name"), "{elsewhere:#?}");
    }
    let slash = format!("{}/", stack.base());
    let mut same = listen(&user, &receiver, &[MINE, &["--url", &slash]].concat()).await;
    assert!(same.program.end_by("INT").await.success(), "a slash at the end makes no other API");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_begins_where_it_is_told_to() {
    let stack = Stack::start().await;
    let (api, user) = (stack.api(), Hookline::of(&stack));
    let mut published = vec![api.publish("user.created").await];
    // Times have whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    published.push(api.publish("user.updated").await);
    let second = text(&published[1].json()["created_at"]);
    for (from, count) in [("start", 2), (second.as_str(), 2), ("1h", 4), ("now", 0), ("start", 6)] {
        let receiver = Receiver::answering(200).await;
        let mut listener = listen(&user, &receiver, &["--name", "mine", "--from", from]).await;
        published.push(api.publish("user.created").await);
        let expected: Vec<_> = published.iter().map(crate::harness::client::Reply::id).collect();
        let expected = &expected[expected.len() - 1 - count..];
        assert_eq!(events(&receiver.wait_for(count + 1).await), expected, "from {from}");
        assert!(listener.program.end_by("INT").await.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhook_follows_the_options_of_each_start() {
    let stack = Stack::start().await;
    let (api, user, receiver) = (stack.api(), Hookline::of(&stack), Receiver::answering(200).await);
    let filter = r#"{"data": {"object": {"plan": ["pro"]}}}"#;
    let parsed: Value = serde_json::from_str(filter).expect("JSON");
    let user_events = &["--events", "user.*"][..];
    for (arguments, events, filter) in [
        (user_events, json!(["user.*"]), Value::Null),
        (
            &["--events", "resource.created,payment.failed", "--filter", filter],
            json!(["resource.created", "payment.failed"]),
            parsed,
        ),
        (user_events, json!(["user.*"]), Value::Null),
        (&[], json!(["*"]), Value::Null),
    ] {
        let mut listener = listen(&user, &receiver, &[MINE, arguments].concat()).await;
        let webhook = webhooks(&api).await.remove(0);
        assert_eq!([&webhook["events"], &webhook["filter"]], [&events, &filter], "{arguments:?}");
        listener.program.kill().await;
        // Whatever somebody has made of it meanwhile.
        let path = format!("/v1/webhooks/{}", text(&webhook["id"]));
        api.patch(&path, &json!({ "events": ["user.*"], "filter": parsed_other() })).await.expect(200);
    }
    assert_eq!(webhooks(&api).await.len(), 1);
}

/// A filter that no listener here asks for.
fn parsed_other() -> Value {
    json!({ "data": { "object": { "plan": ["free"] } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_for_the_user_alone_and_a_kill_leaves_nothing_beside_it() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let folder = user.home().join(".config/hookline/listen");
    for _ in 0..2 {
        let mut listener = listen(&user, &receiver, MINE).await;
        listener.program.kill().await;
        let mut names: Vec<_> =
            fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        assert_eq!(names, ["mine.forwarded", "mine.json"]);
        let state = fs::read_to_string(folder.join("mine.json")).expect("the state");
        assert!(state.contains(&listener.secret) && !state.contains(stack.token()), "the token is not kept");
        let mode = |name: &str| fs::metadata(folder.join(name)).expect("it is there").permissions().mode() & 0o777;
        assert_eq!([mode("."), mode("mine.json"), mode("mine.forwarded")], [0o700, 0o600, 0o600]);
        fs::write(folder.join("mine.json.4711"), "{").expect("as a kill while it is written leaves it");
    }
    fs::write(folder.join("mine.json"), "{\"url\":").expect("damaged");
    let ran = user.run(&["listen", "--forward-to", "3000", "--name", "mine"]).await;
    assert!(ran.error(1).contains("mine.json is damaged: remove it to begin anew"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_listener_begins_is_kept_before_it_has_polled() {
    let api = Receiver::scripted(|_, request| match request.method.as_str() {
        "GET" => Answer::Hang,
        _ => Answer::Reply(201, vec![], webhook().to_string()),
    })
    .await;
    let (user, receiver) = (Hookline::at(&api.url(""), "hl_test_token"), Receiver::answering(200).await);
    let mut listener = listen(&user, &receiver, &["--name", "mine", "--from", "start"]).await;
    listener.program.kill().await;
    let _listener = listen(&user, &receiver, MINE).await;
    let is_poll = |path: &str| path.ends_with("/poll?limit=100&from=start");
    let what = "a poll of each run";
    api.wait_until(std::time::Duration::from_secs(30), what, |seen| {
        seen.last().is_some_and(|request| is_poll(&request.path))
            && seen.iter().filter(|request| request.method == "POST").count() == 1
            && seen.iter().filter(|request| request.method == "PATCH").count() == 2
    })
    .await;
}

/// A webhook as the API shows it when it is registered.
fn webhook() -> Value {
    json!({
        "id": "wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B", "url": null, "events": ["*"], "status": "enabled",
        "disabled_reason": null, "description": null, "created_at": "2025-02-18T10:34:48Z",
        "secret": "your_webhook_secret", "standard_secret": "whsec_eW91cl93ZWJob29rX3NlY3JldA==",
    })
}
