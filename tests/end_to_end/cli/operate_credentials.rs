//! `hookline operate` takes the kinds of credentials that the AWS CLI takes.

use serde_json::json;

use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};

/// The file name of the session `corp` in the cache of `aws sso login`: its SHA-1.
const SSO_CACHE: &str = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
const LOGIN_SESSION: &str = "arn:aws:sts::123456789012:assumed-role/Operator/ann";
/// The file name of [`LOGIN_SESSION`] in the cache of `aws login`: its SHA-256.
const LOGIN_CACHE: &str = ".aws/login/cache/30099fb8108b2f4e38562f32dfa91310688bd202fdeb16f849c5c4927c631f7b.json";
const LATER: &str = "2999-01-01T00:00:00Z";

/// Returns the access key with which the stack is asked for, by a user with this profile and this file. AWS gives `answers`
/// before it refuses that question.
async fn access_key(profile: &str, (path, content): (&str, serde_json::Value), answers: Vec<Answer>) -> String {
    let refused = Answer::Reply(403, vec![], json!({"message": "not allowed"}).to_string());
    let aws = Receiver::in_turn([answers, vec![refused]].concat()).await;
    let user = Hookline::alone();
    for (path, content) in
        [(".aws/config", format!("[default]\nregion = us-east-1\n{profile}")), (path, content.to_string())]
    {
        let folder = user.home().join(path).parent().expect("a folder").to_owned();
        std::fs::create_dir_all(folder).expect("the home can be written");
        user.file(path, content);
    }
    let mut command = user.command(&["operate", "token", "--stack", "hookline"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    let ran = command.env("AWS_ENDPOINT_URL", aws.url("")).output().await.expect("the command runs");
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(stderr.contains("the function hookline-api cannot be read"), "{stderr}");
    let seen = aws.seen();
    let asked = seen.last().unwrap_or_else(|| panic!("nothing was asked: {stderr}"));
    assert_eq!(asked.path, "/2015-03-31/functions/hookline-api/configuration");
    let authorization = asked.header("authorization");
    authorization.split(['=', '/']).nth(1).expect("a signature").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_gives_them() {
    let given = json!({"Version": 1, "AccessKeyId": "AKPROCESS", "SecretAccessKey": "s", "Expiration": LATER});
    let profile = "credential_process = cat .aws/given.json\n";
    assert_eq!(access_key(profile, (".aws/given.json", given), vec![]).await, "AKPROCESS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_sign_on_gives_them() {
    let profile = "sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Operator\n\
        [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example.com/start\n";
    let token = json!({"accessToken": "t", "expiresAt": LATER, "region": "us-east-1", "startUrl": "https://corp.example.com/start"});
    let role = json!({"roleCredentials": {
        "accessKeyId": "AKSSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": 32_472_144_000_000_u64,
    }});
    let answers = vec![Answer::Reply(200, vec![], role.to_string())];
    assert_eq!(access_key(profile, (SSO_CACHE, token), answers).await, "AKSSO");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_in_the_browser_gives_them() {
    let key = json!({
        "accessKeyId": "AKLOGIN", "secretAccessKey": "s", "sessionToken": "t", "accountId": "123456789012", "expiresAt": LATER,
    });
    let token = json!({
        "accessToken": key, "tokenType": "aws_sigv4", "refreshToken": "r", "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": "unused",
    });
    assert_eq!(
        access_key(&format!("login_session = {LOGIN_SESSION}\n"), (LOGIN_CACHE, token), vec![]).await,
        "AKLOGIN"
    );
}
