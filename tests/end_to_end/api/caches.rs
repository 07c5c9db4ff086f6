//! How long a process uses what it has cached: tokens and custom event types.

use std::time::Duration;

use domain::event_type::{CatalogueEntry, Sample};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::{StoreError, event_types};

use crate::harness::router::ApiProcess;
use crate::harness::world::World;

#[tokio::test]
async fn a_revoked_token_stops_working_everywhere_within_a_minute() {
    let world = World::new().await;
    let platform = world.api_process().await;
    let (status, issued) = platform.ask("POST", "/v1/tokens", &json!({ "account": "acme" })).await;
    assert_eq!(status, 201);
    let token = issued["token"].as_str().expect("a token");
    let [here, there] = [platform.with_token(token), ApiProcess::new(&world.api, token)];
    let list = async |process: &ApiProcess| process.ask("GET", "/v1/webhooks", &Value::Null).await.0;
    assert_eq!([list(&here).await, list(&there).await], [200; 2]);

    let path = format!("/v1/tokens/{}", issued["id"].as_str().expect("an id"));
    assert_eq!(platform.ask("DELETE", &path, &Value::Null).await.0, 204);
    let mut cached = Duration::ZERO;
    while [list(&here).await, list(&there).await] != [401; 2] {
        world.wait(Duration::from_secs(1));
        cached += Duration::from_secs(1);
        assert!(cached <= Duration::from_secs(60), "the token still works a minute after its revocation");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_event_type_is_cached_for_thirty_seconds() {
    let world = World::new().await;
    let other = world.app.with_clients(world.aws.clients());
    let object = RawValue::from_string("{}".to_owned()).expect("JSON");
    let sample = Sample { object, previous_data: None };
    let name = "custom.happened".parse().expect("a name");
    let custom = CatalogueEntry::new(name, "", sample);
    let is_known =
        async |app| -> Result<bool, StoreError> { Ok(event_types::known(app, &custom.name).await?.is_some()) };
    assert!(!is_known(&world.app.store).await.expect("the table"));
    event_types::put(&other.store, &custom).await.expect("the table");
    assert!(is_known(&world.app.store).await.expect("the table"), "a new type is usable at once");
    event_types::delete(&other.store, &custom.name).await.expect("the table");
    assert!(!is_known(&other.store).await.expect("the table"), "the process that deletes a type refuses it at once");
    world.wait(Duration::from_millis(29_999));
    assert!(is_known(&world.app.store).await.expect("the table"), "other processes use their cache");
    world.wait(Duration::from_millis(1));
    assert!(!is_known(&world.app.store).await.expect("the table"));
}
