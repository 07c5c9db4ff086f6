//! The commands on events, deliveries, event types and tokens, against a running Hookline.

use serde_json::{Value, json};

use super::webhooks::registered;
use crate::harness::client::{data, text};
use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_and_its_delivery_are_followed_to_the_end() {
    let Some(stack) = Stack::with_schedule("0s,1s,1s,1s,1s").await else { return };
    let user = Hookline::of(&stack);
    // The answer of a receiver must not reach the terminal as it is.
    let hostile = Answer::Reply(500, vec![], "\u{1b}[2J\u{9b}31m\u{202e}gone".to_owned());
    let receiver = Receiver::in_turn(vec![hostile, Answer::status(200)]).await;
    let webhook = registered(user.run(&["webhooks", "create", &receiver.url("/"), "--events", "*"]).await.expect(0));
    let object = r#"{"amount": 1.10, "b": 1, "a": 2}"#;
    let published = user.run(&["events", "publish", "payment.succeeded", "--data", object, "--json"]).await;
    assert!(published.expect(0).contains(object), "the publisher's JSON is published as it is: {published:#?}");
    let event = text(&published.json()["id"]);
    receiver.wait_for(2).await;
    stack.api().delivery_when(&event, &webhook, |delivery| delivery["status"] == "delivered").await;

    let shown = user.run(&["events", "get", &event]).await;
    assert!(shown.expect(0).contains("delivered  payment.succeeded  2         200"), "{shown:#?}");
    let list = user.json(&["deliveries", "list", &webhook]).await;
    let delivery = text(&data(&list)[0]["id"]);
    let shown = user.run(&["deliveries", "get", &delivery]).await;
    assert!(shown.expect(0).contains("gone"), "{shown:#?}");
    assert!(!shown.stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown:#?}");
    let events = user.run(&["events", "list"]).await;
    assert!(events.expect(0).contains(&format!("{event}  payment.succeeded")), "{events:#?}");

    let cancelled = user.run(&["deliveries", "cancel", &delivery]).await;
    assert!(cancelled.error(1).contains("Conflict (409)"), "{cancelled:#?}");
    let retried = user.run(&["deliveries", "retry", &delivery, "--wait"]).await;
    assert!(retried.expect(0).contains("attempt 3 got 200"), "{retried:#?}");
    let health = user.run(&["webhooks", "health", &webhook]).await;
    assert!(health.expect(0).contains("delivered              100.0 %"), "{health:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_delivery_is_waited_for_and_its_failure_is_the_exit_status() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let receiver = Receiver::in_turn([204, 500].map(Answer::status).to_vec()).await;
    let webhook = registered(user.run(&["webhooks", "create", &receiver.url("/"), "--events", "*"]).await.expect(0));
    let test = ["webhooks", "test", &webhook, "user.updated"];
    let delivered = user.run(&[&test[..], &["--wait"]].concat()).await;
    assert!(delivered.expect(0).contains("delivered: attempt 1 got 204"), "{delivered:#?}");
    let failed = user.run(&[&test[..], &["--wait", "--json"]].concat()).await;
    failed.expect(1);
    assert_eq!(failed.json()["status"], "failed");
    let begun = user.json(&test).await;
    assert_eq!((&begun["test"], &begun["event_type"]), (&json!(true), &json!("user.updated")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_says_what_became_of_each_event() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let good = json!({"type": "user.created", "data": {"object": {}}});
    let batch = json!({"events": [good, {"type": "user.created", "data": {}}]}).to_string();
    let ran = user.run_with_input(&["events", "publish-batch", "--body", "-"], &batch).await;
    let lines: Vec<_> = ran.expect(1).lines().collect();
    assert!(lines[0].starts_with("published evt_"), "{ran:#?}");
    assert!(
        lines[1].starts_with("event 1 was refused: ") && lines[2].contains("#/data/object is required"),
        "{ran:#?}"
    );
    let good = json!({"events": [good]}).to_string();
    user.run(&["events", "publish-batch", "--body", &good]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_by_page_or_as_a_whole() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let mut published = vec![];
    for _ in 0..5 {
        published.insert(0, stack.api().publish("resource.created").await.id());
    }
    let page = user.run(&["events", "list", "--limit", "2"]).await;
    let ids =
        |stdout: &str| stdout.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(ids(page.expect(0)), [&["ID".to_owned()], &published[..2]].concat());
    let cursor = page.stderr.split_once("--cursor ").and_then(|(_, rest)| rest.split(' ').next()).expect("a cursor");
    let next = user.run(&["events", "list", "--limit", "2", "--cursor", cursor]).await;
    assert_eq!(ids(next.expect(0))[1..], published[2..4]);
    let all = user.run(&["events", "list", "--limit", "2", "--all"]).await;
    assert_eq!(ids(all.expect(0)), [&["ID".to_owned()], &published[..]].concat(), "one heading");
    assert!(!all.stderr.contains("more"), "{all:#?}");
    let json = user.json(&["events", "list", "--limit", "2", "--all"]).await;
    let listed: Vec<_> = data(&json).iter().map(|event| text(&event["id"])).collect();
    assert_eq!((listed, &json["next_cursor"]), (published, &Value::Null));
    let none = user.run(&["webhooks", "list", "--all"]).await;
    assert_eq!((none.expect(0), none.stderr.as_str()), ("", "There are none.\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_and_tokens_are_created_and_deleted() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let name = format!("order.{}", crate::harness::random::random_hex());
    let schema = user.file("schema.json", r#"{"type": "object", "required": ["id"]}"#);
    let sample = r#"{"data": {"object": {"id": "ord_1"}}}"#;
    let create = ["event-types", "create", &name, "--schema", &schema, "--sample", sample, "--validation", "warn"];
    let created = user.run(&[&create[..], &["--type-version", "1"]].concat()).await;
    assert!(created.expect(0).contains("validation   warn"), "{created:#?}");
    let list = user.run(&["event-types", "list"]).await;
    assert!(list.expect(0).contains(&name), "{list:#?}");
    let warned = user.run(&["events", "publish", &name, "--data", "{}"]).await;
    assert!(
        warned.expect(0).starts_with("published") && warned.stderr.starts_with("warning: #/data/object"),
        "{warned:#?}"
    );
    user.run(&["event-types", "delete", &name]).await.expect(0);

    let account = format!("cli{}", crate::harness::random::random_hex());
    let platform = Hookline::at(stack.base(), stack.token());
    let issued = platform.run(&["tokens", "create", "--account", &account, "--scopes", "publish"]).await;
    let publisher = Hookline::at(stack.base(), issued.expect(0).trim());
    publisher.run(&["events", "list"]).await.expect(0);
    let refused = publisher.run(&["webhooks", "list"]).await;
    assert!(
        refused.error(1).contains("lacks the scope 'manage'") && refused.stderr.contains("--token"),
        "{refused:#?}"
    );
    let id = issued.stderr.split_whitespace().find(|word| word.starts_with("tok_")).expect("the token's id");
    let list = platform.run(&["tokens", "list", "--all"]).await;
    assert!(list.expect(0).contains(&format!("{id}  {account}  publish")), "{list:#?}");
    platform.run(&["tokens", "delete", id]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_which_api_is_used() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let status = user.run(&["status"]).await;
    assert!(status.expect(0).contains(&format!("url      {}/ (given)", stack.base())), "{status:#?}");
    assert!(status.stdout.contains("service  ok, answered in "), "{status:#?}");
    assert_eq!(user.json(&["openapi"]).await["openapi"], "3.1.0");
}
