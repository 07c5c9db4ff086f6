//! `hookline tail`.

use serde_json::{Value, json};

use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_the_fate_of_their_deliveries_are_shown() {
    let Some(stack) = Stack::with_schedule("0s,1s,1s,1s,1s").await else { return };
    let receiver = Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await;
    let webhook = stack.api().register(&receiver.url("/"), &["user.created"]).await.id;
    let before = stack.api().publish("user.updated").await.id();
    let user = Hookline::of(&stack);
    let mut tail = user.spawn(&["tail"]);
    tail.line("the events so far", |line| line.contains(&before).then_some(())).await;
    let event = stack.api().publish("user.created").await.id();
    let delivered = tail.line("the delivery", |line| line.contains("delivered").then(|| line.to_owned())).await;
    assert!(delivered.contains(&format!("  delivered  {webhook}   {event}, attempt 2 got 200")), "{delivered}");
    tail.lines("the event and its first attempt", |lines| {
        let shown = |text: &str| lines.iter().any(|line| line.contains(text));
        let both = shown(&format!("  event      {event}  user.created")) && shown("pending");
        both.then_some(())
    })
    .await;
    assert!(tail.end_by("INT").await.success(), "Ctrl-C is how it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_get_one_object_a_line_and_types_are_selected() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    stack.api().register(&receiver.url("/"), &["*"]).await;
    let user = Hookline::of(&stack);
    let tail = user.spawn(&["tail", "--json", "--events", "user.*", "--last", "0"]);
    // Nothing is printed before the first event, so events are published until one is seen.
    let parsed = |lines: &[String]| -> Vec<Value> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    };
    let publish = async {
        loop {
            stack.api().publish("resource.created").await;
            stack.api().publish("user.created").await;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    };
    let seen = tail.lines("a delivered event", |lines| {
        let all = parsed(lines);
        all.iter().any(|line| line["delivery"]["status"] == "delivered").then_some(all)
    });
    let all = tokio::select! { all = seen => all, () = publish => unreachable!() };
    for line in &all {
        let object = line.as_object().expect("an object");
        assert_eq!(object.len(), 1, "{line:#}");
        let event_type = object.get("event").map(|event| &event["type"]);
        assert_eq!(event_type.unwrap_or(&line["delivery"]["event_type"]), "user.created", "{line:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_said_once_and_mended() {
    let event = json!({
        "id": "evt_01JMCA06DW8R3VZQ6N0K4T2W7Y", "type": "user.created", "created_at": "2025-02-18T10:35:00Z",
        "deliveries": [], "next_cursor": null,
    });
    let api = Receiver::scripted(move |before, request| match before {
        // Each look sends its request four times.
        0..8 => Answer::Drop,
        _ if request.path.starts_with("/v1/events?") => {
            Answer::Reply(200, vec![], json!({"data": [event], "next_cursor": null}).to_string())
        }
        _ => Answer::Reply(200, vec![], event.to_string()),
    })
    .await;
    let user = Hookline::at(&api.url(""), "hl_test_token");
    let tail = user.spawn(&["tail"]);
    tail.line("the event", |line| line.contains("user.created").then_some(())).await;
    tail.error_lines("that it is connected", |lines| lines.contains(&"Connected again.".to_owned()).then_some(()))
        .await;
    let said = tail.error_lines("", |lines| Some(lines.iter().filter(|line| line.contains("is lost")).count())).await;
    assert_eq!(said, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_valid_ends_it() {
    let stack = Stack::start().await;
    let ran = Hookline::at(stack.base(), "hl_not_a_token").run(&["tail", "--json"]).await;
    assert!(ran.error(1).contains("401"), "{ran:#?}");
}
