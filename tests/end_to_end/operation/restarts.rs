//! A 202 means stored: every accepted event arrives although the process is killed at any moment,
//! or ended and restarted. Only an attempt that was in flight at a kill is repeated.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use application::App;
use domain::account::AccountId;
use domain::backoff::RetrySchedule;
use domain::endpoint_policy::EndpointPolicy;
use domain::random::Random;
use domain::time::Clock;
use embedded_aws::EmbeddedAws;
use local::provision;
use reqwest::Method;
use store::{deliveries, webhooks};
use tokio::time::Instant;

use crate::harness::client::{Api, data};
use crate::harness::random::Seed;
use crate::harness::receiver::{Answer, Received, Receiver};
use crate::harness::stack::{Options, Stack};

/// How often the process is killed under load.
const KILLS: usize = 20;
/// Concurrent publishers.
const PUBLISHERS: usize = 16;
/// The longest time that the process runs before a kill.
const RUN_MAX_MS: u64 = 800;
/// The longest time that the receiver takes to answer.
const ANSWER_MAX_MS: u64 = 40;
/// The longest wait for all accepted events, on a machine that is busy with other tests. An attempt
/// in flight at a kill waits until its lease of 15 s ends. No event should wait for the queue's
/// visibility timeout of 180 s.
const DEADLINE: Duration = Duration::from_secs(60);

/// The events of the test. Each has a number, which is also in its idempotency key.
#[derive(Default)]
struct Ledger {
    next: AtomicUsize,
    /// The ids of the events that were answered with 202, by number.
    accepted: Mutex<HashMap<usize, String>>,
    /// The numbers of the events whose requests got no answer. They may or may not be stored.
    unanswered: Mutex<Vec<usize>>,
}

impl Ledger {
    /// Publishes event `number`; returns false if no answer arrives.
    async fn publish(&self, api: &Api, number: usize) -> bool {
        let api = api.with_idempotency_key(&format!("number {number}"));
        let body = format!(r#"{{"type":"resource.created","data":{{"object":{{"number":{number}}}}}}}"#);
        let sent = api.try_send(Method::POST, "/v1/events", Some(("application/json", body.into_bytes()))).await;
        let Ok(reply) = sent else {
            self.unanswered.lock().expect("no panic").push(number);
            return false;
        };
        reply.expect(202);
        self.accepted.lock().expect("no panic").insert(number, reply.id());
        true
    }

    /// Publishes the unanswered events again, each with its own key.
    async fn publish_again(&self, api: &Api) {
        let unanswered = std::mem::take(&mut *self.unanswered.lock().expect("no panic"));
        for number in unanswered {
            self.publish(api, number).await;
        }
    }

    /// Publishes up to `count` more events, sixteen at a time, until the process is gone.
    async fn publish_more(self: &Arc<Self>, api: &Api, count: usize) {
        let end = self.next.load(Ordering::SeqCst) + count;
        let publishers = (0..PUBLISHERS).map(|_| async {
            loop {
                let number = self.next.fetch_add(1, Ordering::SeqCst);
                if number >= end || !self.publish(api, number).await {
                    return;
                }
            }
        });
        futures::future::join_all(publishers).await;
        self.next.fetch_min(end, Ordering::SeqCst);
    }

    fn accepted(&self) -> HashMap<usize, String> {
        self.accepted.lock().expect("no panic").clone()
    }
}

/// A kill of the process.
struct Kill {
    at: Instant,
    /// The events whose attempt was in flight: leased but not recorded in the files that are left.
    /// Each with its lease's holder.
    in_flight: HashMap<String, String>,
}

/// Reads the attempts in flight from a copy of a dead process's files, since opening the files
/// changes them.
async fn in_flight(data: &Path, webhook: &str) -> HashMap<String, String> {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for file in std::fs::read_dir(data).expect("the data folder") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("a copy");
    }
    let aws = EmbeddedAws::open(Some(copy.path()), Clock::system()).expect("the files are sound after a kill");
    let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
    let app = App::new(aws.clients(), config, Clock::system(), Random::system());
    let account: AccountId = "default".parse().expect("a name");
    let webhook = webhooks::get(&app.store, &account, webhook.parse().expect("an id")).await.expect("the table");
    let webhook = webhook.expect("the webhook");
    let (mut leases, mut after) = (HashMap::new(), None);
    loop {
        let page = deliveries::list(&app.store, &webhook, after, 1000, |delivery| delivery.lease.is_some()).await;
        let page = page.expect("the table");
        let held = page.items.into_iter().filter_map(|found| Some((found.delivery.event, found.lease?.holder)));
        leases.extend(held.map(|(event, holder)| (event.to_string(), holder)));
        after = page.next;
        if after.is_none() {
            return leases;
        }
    }
}

/// Waits until every accepted event has arrived; returns the requests of each event.
async fn wait_for_all(receiver: &Receiver, accepted: &HashMap<usize, String>) -> HashMap<String, Vec<Arc<Received>>> {
    let events = |seen: &[Arc<Received>]| seen.iter().map(|request| request.event().to_owned()).collect::<HashSet<_>>();
    let what = format!("all of {} accepted events", accepted.len());
    let enough = |seen: &[Arc<Received>]| {
        seen.len() >= accepted.len() && {
            let arrived = events(seen);
            accepted.values().all(|event| arrived.contains(event))
        }
    };
    let mut requests: HashMap<_, Vec<_>> = HashMap::new();
    for request in receiver.wait_until(DEADLINE, &what, enough).await {
        requests.entry(request.event().to_owned()).or_default().push(request);
    }
    requests
}

/// Whether a kill interrupted the event's attempt between each request and the next.
fn are_explained_by_kills(requests: &[Arc<Received>], kills: &[Kill]) -> bool {
    requests.windows(2).all(|pair| {
        let between = |kill: &&Kill| (pair[0].at..=pair[1].at).contains(&kill.at);
        kills.iter().filter(between).any(|kill| kill.in_flight.contains_key(pair[0].event()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_event_arrives_through_twenty_kills_and_only_attempts_in_flight_are_repeated() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let seed = Seed::from_environment();
    println!("{seed}");
    let (moments, answers) = (seed.stream(1), seed.stream(2));
    let receiver = Receiver::scripted(move |_, _| Answer::status(200).after_ms(answers.below(ANSWER_MAX_MS))).await;
    let webhook = stack.api().register(&receiver.url("/"), &["resource.created"]).await.id;

    let (ledger, mut kills) = (Arc::new(Ledger::default()), Vec::new());
    for number in 1..=KILLS {
        let (api, run) = (stack.api(), Duration::from_millis(moments.below(RUN_MAX_MS)));
        let kill = async {
            tokio::time::sleep(run).await;
            stack.kill_hard().await;
            Instant::now()
        };
        let load = async {
            ledger.publish_again(&api).await;
            ledger.publish_more(&api, usize::MAX / 2).await;
        };
        let ((), at) = tokio::join!(load, kill);
        let in_flight = in_flight(&stack.folder().join("data"), &webhook).await;
        println!(
            "kill {number} after {run:?}: {} accepted, {} arrived, {} in flight",
            ledger.accepted().len(),
            receiver.seen().len(),
            in_flight.len()
        );
        kills.push(Kill { at, in_flight });
        stack.restart().await;
    }
    ledger.publish_again(&stack.api()).await;

    let (accepted, restarted) = (ledger.accepted(), Instant::now());
    assert_eq!(accepted.len(), ledger.next.load(Ordering::SeqCst), "an event was never accepted");
    let requests = wait_for_all(&receiver, &accepted).await;
    let pending = format!("/v1/webhooks/{webhook}/deliveries?limit=1&status=pending");
    stack.api().get_when(&pending, |page| data(page).is_empty()).await;
    let waited = restarted.elapsed();
    let repeated: Vec<_> = requests.values().filter(|requests| requests.len() > 1).collect();
    let repeats: usize = repeated.iter().map(|requests| requests.len() - 1).sum();
    let interrupted: HashSet<_> = kills.iter().flat_map(|kill| kill.in_flight.values()).collect();
    println!(
        "{KILLS} kills: {} accepted, {} delivered, {} attempts interrupted, {repeats} of them repeated after they had \
         arrived; the last delivery {waited:?} after the last restart",
        accepted.len(),
        requests.len(),
        interrupted.len(),
    );
    assert_eq!(requests.len(), accepted.len(), "every key should be one event, whichever of its requests was answered");
    for requests in requests.values() {
        assert!(
            requests.iter().all(|request| request.attempt() == 1),
            "an attempt without a record must not be counted"
        );
    }
    for requests in repeated {
        assert!(are_explained_by_kills(requests, &kills), "{} was sent twice without need", requests[0].event());
    }
    assert!(!interrupted.is_empty(), "no kill interrupted an attempt");
    assert!(repeats <= interrupted.len(), "{repeats} repeats of {} interrupted attempts", interrupted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_retry_is_made_after_a_kill_and_not_early() {
    let Some(mut stack) = Stack::with(Options::durable().schedule("0s,3s,3s,3s,3s")).await else { return };
    let receiver = Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await;
    let webhook = stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let event = stack.api().publish("resource.created").await.id();
    let recorded = |delivery: &serde_json::Value| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1);
    stack.api().delivery_when(&event, &webhook.id, recorded).await;
    stack.kill_hard().await;
    stack.restart().await;

    let seen = receiver.wait_for(2).await;
    assert_eq!((seen[1].event(), seen[1].attempt()), (event.as_str(), 2));
    let wait = seen[1].at - seen[0].at;
    assert!(wait >= Duration::from_millis(2999), "the second attempt arrived after {wait:?}");
    stack.api().delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_and_restart_lose_nothing_and_send_nothing_twice() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::answering(200).await;
    stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let ledger = Arc::new(Ledger::default());
    ledger.publish_more(&stack.api(), 200).await;
    stack.terminate().await;
    stack.restart().await;
    assert_eq!(ledger.accepted().len(), 200);
    let requests = wait_for_all(&receiver, &ledger.accepted()).await;
    let twice: Vec<_> = requests.iter().filter(|(_, requests)| requests.len() > 1).collect();
    assert!(twice.is_empty(), "an attempt was sent twice although no process crashed: {twice:?}");
}
