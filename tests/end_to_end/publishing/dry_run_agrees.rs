//! A dry run and a publication agree: over many random accounts, webhooks, filters and events, a dry run says of each webhook what
//! publishing the event then does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::endpoint_policy::EndpointPolicy;
use domain::filter::{Document, Filter};
use domain::id::WebhookId;
use domain::secret::Secret;
use domain::webhook::{DisabledReason, Webhook};
use fastrand::Rng;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use store::webhooks;

use crate::harness::client::{data, text};
use crate::harness::router::ApiProcess;
use crate::harness::world::World;

/// Accounts, webhooks of each, and events of each: 10,000 verdicts in all.
const ACCOUNTS: usize = 25;
const WEBHOOKS: usize = 40;
const EVENTS: usize = 10;
/// Longer than the clocks of two workers may differ, so that a webhook that was disabled before gets no task.
const LONG_AGO: Duration = Duration::from_secs(60);

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())].clone()
}

fn value(rng: &mut Rng) -> Value {
    pick(rng, &[json!("a"), json!("b"), json!("ab"), json!(1), json!(2.5), json!(null), json!(true)])
}

fn object(rng: &mut Rng) -> Value {
    let mut object = json!({});
    for name in ["kind", "n"] {
        if rng.u8(..4) > 0 {
            object[name] = value(rng);
        }
    }
    if rng.bool() {
        let item = |rng: &mut Rng| json!({ "sku": value(rng), "qty": value(rng) });
        object["items"] = (0..rng.usize(..4)).map(|_| item(rng)).collect();
    }
    object
}

fn list(rng: &mut Rng) -> Value {
    let entries = [
        json!("a"),
        json!(1),
        json!(null),
        json!({ "prefix": "a" }),
        json!({ "suffix": "b" }),
        json!({ "equals-ignore-case": "AB" }),
        json!({ "wildcard": "*b" }),
        json!({ "numeric": [">", 1] }),
        json!({ "anything-but": ["a", "b"] }),
        json!({ "anything-but": [1] }),
        json!({ "exists": true }),
        json!({ "exists": false }),
        json!({ "changed": true }),
    ];
    (0..=rng.usize(..2)).map(|_| pick(rng, &entries)).collect()
}

fn filter(rng: &mut Rng) -> Option<Filter> {
    let object = match rng.u8(..6) {
        0 | 1 => return None,
        2 => json!({ "kind": list(rng) }),
        3 => json!({ "kind": list(rng), "n": list(rng) }),
        4 => json!({ "items": { "sku": list(rng), "qty": list(rng) } }),
        _ => json!({ "$or": [{ "kind": list(rng) }, { "n": list(rng), "items": { "sku": list(rng) } }] }),
    };
    let raw = to_raw_value(&json!({ "data": { "object": object } })).expect("JSON");
    Some(Filter::read(&raw).expect("a valid filter"))
}

async fn register(world: &World, account: &str, rng: &mut Rng) -> Webhook {
    world.wait(Duration::from_millis(1));
    let now = world.app.clock.now();
    let id = WebhookId::new(now, &world.app.random);
    let url = EndpointPolicy::AllowLoopback.judge_url("http://127.0.0.1:9/").expect("a URL");
    let url = if rng.u8(..5) == 0 { None } else { Some(url) };
    let events = pick(rng, &["*", "user.*", "user.created", "payment.failed"]);
    let events = vec![events.parse().expect("a subscription")];
    let account = account.parse().expect("a name");
    let mut webhook = Webhook::new(account, id, url, events, Secret::generate(&world.app.random));
    webhook.filter = filter(rng);
    match rng.u8(..6) {
        0 => webhook.disable(DisabledReason::Manual, now.minus(LONG_AGO)),
        1 => webhook.disable(DisabledReason::Failures, now),
        _ => {}
    }
    webhooks::create(&world.app.store, &webhook).await.expect("nothing fails here");
    webhook
}

/// Asks for all pages of a dry run; returns the entry of each webhook.
async fn dry_run(api: &ApiProcess, event: &Value) -> (Value, BTreeMap<String, Value>) {
    let (mut entries, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let (status, answer) = api.ask("POST", &format!("/v1/events/dry-run?limit=17{cursor}"), event).await;
        assert_eq!(status, 200, "{answer:#}");
        for entry in answer["webhooks"].as_array().expect("webhooks") {
            assert!(entries.insert(text(&entry["webhook_id"]), entry.clone()).is_none());
        }
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (answer["event"].clone(), entries),
        }
    }
}

/// Why a webhook should not receive an event, from its parts alone.
fn expected_reason(webhook: &Webhook, event: &Value) -> Value {
    let payload = event.to_string();
    let matches = webhook.filter.as_ref().is_none_or(|filter| {
        let document = Document::parse(payload.as_bytes()).expect("JSON");
        filter.compile().expect("valid").matches(&document)
    });
    if !webhook.subscribes_to(&event["type"].as_str().expect("text").parse().expect("a type")) {
        json!("event_type")
    } else if !matches {
        json!("filter")
    } else if webhook.is_enabled() {
        Value::Null
    } else {
        json!("disabled")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_of_each_webhook_what_publishing_does() {
    let (world, mut rng) = (World::new().await, Rng::with_seed(4711));
    let platform = world.api_process().await;
    let (mut verdicts, mut reasons) = (0, BTreeMap::<String, usize>::new());
    for account in 0..ACCOUNTS {
        let name: &'static str = Box::leak(format!("account-{account}").into_boxed_str());
        let api = platform.with_account(name);
        let mut webhooks = vec![];
        for _ in 0..WEBHOOKS {
            webhooks.push(register(&world, name, &mut rng).await);
        }
        let mut polled: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for _ in 0..EVENTS {
            world.wait(Duration::from_millis(1));
            let event_type = pick(&mut rng, &["user.created", "user.updated", "payment.failed"]);
            let previous = if rng.bool() { object(&mut rng) } else { Value::Null };
            let body = json!({ "type": event_type, "data": { "object": object(&mut rng) }, "previous_data": previous });
            let (dry, entries) = dry_run(&api, &body).await;
            let (status, published) = api.ask("POST", "/v1/events", &body).await;
            assert_eq!(status, 202, "{published:#}");
            let event = text(&published["id"]);
            let mut enqueued: BTreeSet<String> = BTreeSet::new();
            for task in world.take_tasks().await {
                assert_eq!(task.delivery.event.to_string(), event);
                assert!(enqueued.insert(task.webhook().to_string()), "a webhook got two tasks");
            }
            assert_eq!(entries.len(), WEBHOOKS);
            for webhook in &webhooks {
                let (id, entry) = (webhook.id.to_string(), &entries[&webhook.id.to_string()]);
                assert_eq!(entry["reason"], expected_reason(webhook, &dry), "{entry:#} {webhook:#?}");
                assert_eq!(entry["delivers"], entry["reason"].is_null());
                *reasons.entry(entry["reason"].to_string()).or_default() += 1;
                verdicts += 1;
                if webhook.is_polled() {
                    assert!(!enqueued.contains(&id), "a polled webhook got a task");
                    polled
                        .entry(id)
                        .or_default()
                        .extend(entry["delivers"].as_bool().and_then(|is| is.then(|| event.clone())));
                    continue;
                }
                // The task of a webhook that has just been disabled ends as held, which is what the reason says.
                let is_just_disabled = webhook.disabled_reason == Some(DisabledReason::Failures);
                let is_enqueued = entry["delivers"] == true || is_just_disabled && entry["reason"] == "disabled";
                assert_eq!(enqueued.contains(&id), is_enqueued, "{entry:#} {published} {webhook:#?}");
            }
        }
        for webhook in webhooks.iter().filter(|webhook| webhook.is_polled() && webhook.is_enabled()) {
            let (status, page) =
                api.ask("GET", &format!("/v1/webhooks/{}/poll?from=start", webhook.id), &Value::Null).await;
            assert_eq!(status, 200, "{page:#}");
            let returned: Vec<_> = data(&page).iter().map(|entry| text(&entry["headers"]["webhook-id"])).collect();
            assert_eq!(returned, polled[&webhook.id.to_string()], "{webhook:#?}");
        }
    }
    assert_eq!(verdicts, 10_000);
    assert!(reasons.len() == 4 && reasons.values().all(|count| *count > 500), "says little: {reasons:?}");
}
