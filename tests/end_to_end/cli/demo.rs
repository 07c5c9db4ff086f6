//! `hookline demo`. A deployed stack does not reach its receiver.

use serde_json::{Value, json};

use crate::harness::hookline::Hookline;
use crate::harness::stack::{Options, Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_arrives_fails_is_tried_again_and_is_recovered() {
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let ran = Hookline::of(&stack).run(&["demo"]).await;
    let told = ran.expect(0);
    let count = |text: &str| told.matches(text).count();
    assert_eq!(count("signature valid, answered 200"), 4, "{told}");
    assert_eq!(count("signature valid, answered 500"), 3, "{told}");
    for what in ["failed, 2 attempts", "held, not attempted", "disabled, because", "delivered, 3 attempts"] {
        assert_eq!(count(what), 1, "{what}: {told}");
    }
    assert!(!told.contains("INVALID") && !told.contains('\u{1b}'), "{told}");
    assert_eq!(stack.api().get("/v1/webhooks").await.expect(200)["data"], json!([]), "nothing is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_for_programs_is_one_object_a_line() {
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let ran = Hookline::of(&stack).run(&["demo", "--json"]).await;
    let steps: Vec<Value> = ran.expect(0).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |step: &str| steps.iter().filter(|line| line["step"] == step).count();
    assert_eq!((of("publish"), of("receive"), of("recover")), (4, 7, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reaches_no_loopback_refuses_the_demo() {
    let Some(stack) = Stack::with(Options { strict: true, ..Options::default() }).await else { return };
    let ran = Hookline::of(&stack).run(&["demo"]).await;
    assert_eq!(ran.status, Some(1), "{ran:#?}");
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("#/url"), "{}", ran.stderr);
}
