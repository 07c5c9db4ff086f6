//! `hookline listen`, used wrongly or without a server.

use super::listen::webhooks;
use crate::harness::hookline::Hookline;
use crate::harness::stack::Stack;

const TO: &[&str] = &["listen", "--forward-to", "3000/in"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_has_the_exit_status_2_and_says_what_is_right() {
    let user = Hookline::at("http://127.0.0.1:9", "hl_test_token");
    let damaged = user.file("damaged.json", "{\"data\": }");
    let long = "x".repeat(65);
    let to = |url: &'static str| vec!["listen", "--forward-to", url];
    let with = |further: &[&'static str]| [TO, further].concat();
    for (arguments, said) in [
        (vec!["listen"], "--forward-to <URL>"),
        (to("ftp://localhost/in"), "http://localhost:3000/webhooks"),
        (to("/in"), "http://localhost:3000/webhooks"),
        (to("99999"), "http://localhost:3000/webhooks"),
        (to(""), "http://localhost:3000/webhooks"),
        (with(&["--name", "../login"]), "1 to 64 letters, digits, - or _"),
        (with(&["--name", ""]), "1 to 64 letters, digits, - or _"),
        ([TO, &["--name", &long]].concat(), "1 to 64 letters, digits, - or _"),
        (with(&["--from", "yesterday"]), "must be now, start, or a time"),
        (with(&["--filter", "missing.json"]), "--filter: cannot read missing.json"),
        (with(&["--filter", "{\"data\": }"]), "--filter: the value is not JSON"),
        ([TO, &["--filter", &damaged]].concat(), "--filter: damaged.json is not JSON"),
    ] {
        let ran = user.run(&arguments).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ran:#?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {ran:#?}");
    }
    assert!(!user.home().join(".config").exists(), "nothing is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_named_and_leaves_no_webhook() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    for (arguments, said) in [
        (["--filter", r#"{"data": {"object": {"plan": [{"like": "pro"}]}}}"#], "#/filter/data/object/plan/0"),
        (["--events", "user.created,nope.no"], "#/events/1"),
    ] {
        for name in [&[][..], &["--name", "mine"]] {
            let ran = user.run(&[TO, &arguments, name].concat()).await;
            let error = ran.error(1);
            assert!(error.contains("(422)") && error.contains(said), "{error}");
        }
    }
    assert_eq!(webhooks(&stack.api()).await, Vec::<serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_the_local_process_is_named() {
    let user = Hookline::at("http://127.0.0.1:9", "hl_test_token");
    for name in [&[][..], &["--name", "mine"]] {
        let ran = user.run(&[TO, name].concat()).await;
        assert!(ran.error(1).contains("nothing listens at http://127.0.0.1:9/"), "{ran:#?}");
        assert!(ran.stderr.contains("cargo run -p local"), "{ran:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_valid_is_refused_at_the_start() {
    let stack = Stack::start().await;
    let ran = Hookline::at(stack.base(), "hl_not_a_token").run(TO).await;
    assert!(ran.error(1).contains("(401)") && ran.stderr.contains("hookline login"), "{ran:#?}");
}
