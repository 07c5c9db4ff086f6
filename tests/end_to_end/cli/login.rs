//! `hookline login`: what it stores, and where tokens are sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

/// The file that a login is stored in.
fn stored(user: &Hookline) -> PathBuf {
    user.home().join(".config/hookline/login.json")
}

/// A server that accepts every token, and shows which it got.
async fn any_api() -> Receiver {
    Receiver::in_turn(vec![Answer::Reply(200, vec![], r#"{"data": [], "next_cursor": null}"#.to_owned())]).await
}

/// The tokens that a server got.
fn tokens(api: &Receiver) -> Vec<Option<String>> {
    let token = |value: &reqwest::header::HeaderValue| value.to_str().expect("ASCII").to_owned();
    api.seen().iter().map(|request| request.headers.get("authorization").map(token)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_checked_stored_used_and_removed() {
    let stack = Stack::start().await;
    let user = Hookline::alone();
    let account: Vec<_> = stack.account().into_iter().flat_map(|account| ["--account", account]).collect();
    let log_in = [&["login", "--url", stack.base()], &account[..]].concat();

    let refused = user.run(&[&log_in[..], &["--token", "hl_not_a_token"]].concat()).await;
    assert!(refused.error(1).contains("401"), "{refused:#?}");
    assert!(!stored(&user).exists(), "a token that does not work is not stored");

    // A script gives the token on stdin.
    let ran = user.run_with_input(&log_in, &format!("{}\n", stack.token())).await;
    assert!(ran.expect(0).contains("login.json"), "{ran:#?}");
    assert!(!ran.stdout.contains(stack.token()) && !ran.stderr.contains(stack.token()), "{ran:#?}");
    let mode = |path: PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(stored(&user)), mode(user.home().join(".config/hookline"))), (0o600, 0o700));

    user.run(&["webhooks", "list"]).await.expect(0);
    let status = user.run(&["status"]).await;
    assert!(status.expect(0).contains("stored by `hookline login`"), "{status:#?}");
    let wrong = user.run(&["webhooks", "list", "--token", "hl_not_a_token"]).await;
    assert!(wrong.error(1).contains("401"), "an option comes before what is stored: {wrong:#?}");

    user.run(&["logout"]).await.expect(0);
    assert!(!stored(&user).exists());
    assert_eq!(user.run(&["logout"]).await.expect(0), "nothing was stored\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_token_is_sent_to_its_own_url_only() {
    let (own, other, user) = (any_api().await, any_api().await, Hookline::alone());
    user.run(&["login", "--url", &own.url(""), "--token", "hl_of_mine"]).await.expect(0);
    user.run(&["webhooks", "list"]).await.expect(0);
    user.run(&["webhooks", "list", "--url", &own.url("/")]).await.expect(0);
    assert_eq!(tokens(&own), vec![Some("Bearer hl_of_mine".to_owned()); 3]);
    user.run(&["webhooks", "list", "--url", &other.url("")]).await.expect(0);
    user.command(&["webhooks", "list"]).env("HOOKLINE_URL", other.url("")).output().await.expect("it runs");
    user.run(&["webhooks", "list", "--url", &own.url("/other/path")]).await.expect(0);
    assert_eq!(tokens(&other), [None, None]);
    assert_eq!(tokens(&own)[3], None, "another path of the same host may be another API");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_login_the_token_of_the_local_process_is_used() {
    let (api, user) = (any_api().await, Hookline::alone());
    fs::create_dir(user.home().join(".hookline")).expect("created");
    user.file(".hookline/token", "hl_of_local\n");
    user.run(&["webhooks", "list", "--url", &api.url("")]).await.expect(0);
    let environment = user
        .command(&["webhooks", "list", "--url", &api.url("")])
        .env("HOOKLINE_TOKEN", "hl_of_environment")
        .output()
        .await;
    assert!(environment.expect("it runs").status.success());
    user.run(&["webhooks", "list", "--url", &api.url(""), "--token", "hl_of_option"]).await.expect(0);
    let expected = ["local", "environment", "option"].map(|source| Some(format!("Bearer hl_of_{source}")));
    assert_eq!(tokens(&api), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_must_say_where_to_log_in() {
    let user = Hookline::alone();
    assert!(user.run_with_input(&["login"], "hl_some_token\n").await.error(2).contains("--url"));
    let empty = user.run_with_input(&["login", "--url", "http://127.0.0.1:9"], "").await;
    assert!(empty.error(2).contains("--token"), "{empty:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_login_is_named() {
    let user = Hookline::alone();
    fs::create_dir_all(user.home().join(".config/hookline")).expect("created");
    user.file(".config/hookline/login.json", "{");
    let ran = user.run(&["status"]).await;
    assert!(ran.error(1).contains("login.json is not a login") && ran.stderr.contains("hookline logout"), "{ran:#?}");
    user.run(&["logout"]).await.expect(0);
}
