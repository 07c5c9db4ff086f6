//! `hookline trigger`.

use serde_json::{Value, json};

use crate::harness::client::data;
use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_or_own_data_is_published() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let event = user.json(&["trigger", "resource.updated"]).await;
    let types = user.json(&["event-types", "list"]).await;
    let known = data(&types).iter().find(|known| known["name"] == "resource.updated").expect("a built-in type");
    assert_eq!(
        (&event["data"], &event["previous_data"]),
        (&known["sample"]["data"], &known["sample"]["previous_data"])
    );
    assert!(event["previous_data"].is_object(), "{event:#}");

    let own = r#"{"id": "usr_1"}"#;
    let file = user.file("user.json", own);
    for given in [own, &file, r#"{"object": {"id": "usr_1"}}"#] {
        let event = user.json(&["trigger", "user.updated", "--data", given]).await;
        assert_eq!(
            (&event["data"]["object"], &event["previous_data"]),
            (&json!({"id": "usr_1"}), &Value::Null),
            "{given}"
        );
    }
    let both = ["trigger", "user.updated", "--data", "-", "--previous", r#"{"id": "usr_0"}"#, "--json"];
    let event = user.run_with_input(&both, own).await;
    event.expect(0);
    assert_eq!(event.json()["previous_data"]["id"], "usr_0");
    let ran = user.run(&["trigger", "user.created"]).await;
    assert!(ran.expect(0).starts_with("published evt_"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_type_lists_near_matches() {
    let stack = Stack::start().await;
    let ran = Hookline::of(&stack).run(&["trigger", "resource.create"]).await;
    assert!(ran.error(2).contains("Did you mean resource.created"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_go_in_batches() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let ran = user.run(&["trigger", "user.created", "--count", "250"]).await;
    assert!(ran.expect(0).starts_with("accepted 250 of 250, 0 failed, in "), "{ran:#?}");
    assert!(ran.stdout.contains("answer to a batch: p50 ") && ran.stderr.is_empty(), "{ran:#?}");
    let listed = user.json(&["events", "list", "--all"]).await;
    assert_eq!(data(&listed).len(), 250);
    let report = user.json(&["trigger", "user.created", "--count", "20", "--rate", "40"]).await;
    assert_eq!((&report["accepted"], &report["failed"], &report["not_sent"]), (&json!(20), &json!(0), &json!(0)));
    // Five batches of four: the last begins after four tenths of a second.
    assert!(report["seconds"].as_f64() >= Some(0.4), "{report:#}");
}

/// The catalogue, and then answers to batches.
async fn api(batches: Vec<Answer>) -> (Receiver, Hookline) {
    let types = include_str!("../../../infra/openapi.json");
    let types: Value = serde_json::from_str(types).expect("JSON");
    let path = "/paths/~1v1~1event-types/get/responses/200/content/application~1json/example";
    let catalogue = Answer::Reply(200, vec![], types.pointer(path).expect("an example").to_string());
    let receiver = Receiver::in_turn([vec![catalogue], batches].concat()).await;
    let user = Hookline::at(&receiver.url(""), "hl_test_token");
    (receiver, user)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_counted_and_ctrl_c_ends_it_with_a_report() {
    let event = json!({"id": "evt_1", "type": "resource.created", "created_at": "2025-02-18T10:35:00Z"});
    let accepted = Answer::Reply(202, vec![], json!({"data": vec![event; 10]}).to_string());
    let limited = Answer::Reply(429, vec![("Retry-After", "0".to_owned())], String::new());
    // The first batch is accepted, the second is refused as often as it is sent, and the others get no answer.
    let batches = [vec![accepted], vec![limited; 4], vec![Answer::Hang]].concat();
    let (receiver, user) = api(batches).await;
    let mut run = user.spawn(&["trigger", "resource.created", "--count", "1000", "--rate", "100"]);
    receiver.wait_for(7).await;
    run.send("INT").await;
    run.error_lines("that it stops", |lines| lines.iter().any(|line| line.contains("Stopping")).then_some(())).await;
    // The requests under way are never answered.
    run.send("INT").await;
    let (status, stdout, stderr) = run.end().await;
    assert_eq!(status.code(), Some(1), "{stdout:?} {stderr:?}");
    assert!(stdout[0].starts_with("accepted 10 of 1000, 10 failed, 980 not sent or not answered"), "{stdout:?}");
    assert!(stderr.iter().any(|line| line.contains("429")), "{stderr:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_refused_is_not_sent_a_thousand_times() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let ran = user.run(&["trigger", "user.created", "--data", "[1]", "--count", "1000"]).await;
    assert!(ran.error(1).contains("the event was refused") && ran.stderr.contains("#/data/object"), "{ran:#?}");
}
