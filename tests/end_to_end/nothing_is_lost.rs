//! A 202 means stored: what was answered so arrives, though the process is killed again and again at any moment, or ended
//! in order; and what comes twice is what was under way at a kill, and nothing else.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookline::app::App;
use hookline::endpoint::EndpointPolicy;
use hookline::id::AccountId;
use hookline::random::Random;
use hookline::schedule::RetrySchedule;
use hookline::store::{deliveries, webhooks};
use hookline::time::Clock;
use local::{embedded::EmbeddedAws, provision};
use reqwest::Method;
use tokio::time::Instant;

use crate::api::{Api, data};
use crate::process::{Options, Stack};
use crate::receiver::{Answer, Received, Receiver};
use crate::seed::Seed;

/// Kills of the process in the middle of the load, and publishers at the same time.
const KILLS: usize = 20;
const PUBLISHERS: usize = 16;
/// How long the process runs before each kill, and a receiver takes to answer, at most.
const RUN_MS: u64 = 800;
const ANSWER_MS: u64 = 40;
/// All that was accepted comes within this, on a machine that is busy with other things too. What was under way at a kill
/// waits for its lease of 15 s; the queue's visibility timeout, which nothing should wait for, would be 180 s.
const DEADLINE: Duration = Duration::from_secs(60);

/// What was published: each event by its number, which is also its idempotency key.
#[derive(Default)]
struct Ledger {
    next: AtomicUsize,
    /// Event ids by number, of what was answered with 202: the promise.
    accepted: Mutex<HashMap<usize, String>>,
    /// What got no answer: nobody knows whether it is an event.
    unanswered: Mutex<Vec<usize>>,
}

impl Ledger {
    /// Publishes event `number`; false where no answer comes.
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

    /// Publishes what got no answer once more, under its own key.
    async fn publish_again(&self, api: &Api) {
        let unanswered = std::mem::take(&mut *self.unanswered.lock().expect("no panic"));
        for number in unanswered {
            self.publish(api, number).await;
        }
    }

    /// Publishes further events, sixteen at a time, until the process is gone or `count` are.
    async fn publish_on(self: &Arc<Self>, api: &Api, count: usize) {
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

/// A kill, and the events whose attempt was under way then, claimed and not recorded, as the files that are left tell:
/// each with its claim.
struct Kill {
    at: Instant,
    under_way: HashMap<String, String>,
}

/// Reads the files of a process that is gone, in a copy, since to open them changes them.
async fn under_way(data: &Path, webhook: &str) -> HashMap<String, String> {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for file in std::fs::read_dir(data).expect("the data folder") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("a copy");
    }
    let aws = EmbeddedAws::open(Some(copy.path()), Clock::system()).expect("the files are sound after a kill");
    let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
    let app = App::new(&aws.sdk_config(), config, Clock::system(), Random::system());
    let account: AccountId = "default".parse().expect("a name");
    let webhook = webhooks::get(&app, &account, webhook.parse().expect("an id")).await.expect("the table");
    let webhook = webhook.expect("the webhook");
    let (mut claims, mut after) = (HashMap::new(), None);
    loop {
        let page = deliveries::list(&app, &webhook, after, 1000, |delivery| delivery.claim.is_some()).await;
        let page = page.expect("the table");
        let claimed = page.items.into_iter().filter_map(|found| Some((found.delivery.event, found.claim?.holder)));
        claims.extend(claimed.map(|(event, holder)| (event.to_string(), holder)));
        after = page.next;
        if after.is_none() {
            return claims;
        }
    }
}

/// Waits until every accepted event has come; gives the requests of each event.
async fn all_came(receiver: &Receiver, accepted: &HashMap<usize, String>) -> HashMap<String, Vec<Arc<Received>>> {
    let came = |seen: &[Arc<Received>]| seen.iter().map(|request| request.event().to_owned()).collect::<HashSet<_>>();
    let what = format!("all of {} accepted events", accepted.len());
    let enough = |seen: &[Arc<Received>]| {
        seen.len() >= accepted.len() && {
            let came = came(seen);
            accepted.values().all(|event| came.contains(event))
        }
    };
    let mut requests: HashMap<_, Vec<_>> = HashMap::new();
    for request in receiver.wait_until(DEADLINE, &what, enough).await {
        requests.entry(request.event().to_owned()).or_default().push(request);
    }
    requests
}

/// Whether each repeat of an event's one attempt is owed to a kill that it was under way at.
fn are_owed_to_kills(requests: &[Arc<Received>], kills: &[Kill]) -> bool {
    requests.windows(2).all(|pair| {
        let between = |kill: &&Kill| (pair[0].at..=pair[1].at).contains(&kill.at);
        kills.iter().filter(between).any(|kill| kill.under_way.contains_key(pair[0].event()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_arrives_through_twenty_kills_and_only_what_was_under_way_comes_twice() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let seed = Seed::from_environment();
    println!("{seed}");
    let (moments, answers) = (seed.stream(1), seed.stream(2));
    let receiver = Receiver::scripted(move |_, _| Answer::status(200).after_ms(answers.below(ANSWER_MS))).await;
    let webhook = stack.api().register(&receiver.url("/"), &["resource.created"]).await.id;

    let (ledger, mut kills) = (Arc::new(Ledger::default()), Vec::new());
    for round in 1..=KILLS {
        let (api, run) = (stack.api(), Duration::from_millis(moments.below(RUN_MS)));
        let kill = async {
            tokio::time::sleep(run).await;
            stack.kill_hard().await;
            Instant::now()
        };
        let load = async {
            ledger.publish_again(&api).await;
            ledger.publish_on(&api, usize::MAX / 2).await;
        };
        let ((), at) = tokio::join!(load, kill);
        let under_way = under_way(&stack.folder().join("data"), &webhook).await;
        println!(
            "kill {round} after {run:?}: {} accepted, {} came, {} under way",
            ledger.accepted().len(),
            receiver.seen().len(),
            under_way.len()
        );
        kills.push(Kill { at, under_way });
        stack.restart().await;
    }
    ledger.publish_again(&stack.api()).await;

    let (accepted, restarted) = (ledger.accepted(), Instant::now());
    assert_eq!(accepted.len(), ledger.next.load(Ordering::SeqCst), "each was accepted in the end");
    let requests = all_came(&receiver, &accepted).await;
    let pending = format!("/v1/webhooks/{webhook}/deliveries?limit=1&status=pending");
    stack.api().get_when(&pending, |page| data(page).is_empty()).await;
    let waited = restarted.elapsed();
    let repeated: Vec<_> = requests.values().filter(|requests| requests.len() > 1).collect();
    let repeats: usize = repeated.iter().map(|requests| requests.len() - 1).sum();
    let interrupted: HashSet<_> = kills.iter().flat_map(|kill| kill.under_way.values()).collect();
    println!(
        "{KILLS} kills: {} accepted, {} delivered, {} attempts interrupted, {repeats} of them made again after they had \
         come; the last delivery {waited:?} after the last restart",
        accepted.len(),
        requests.len(),
        interrupted.len(),
    );
    assert_eq!(requests.len(), accepted.len(), "a key stands for one event, whichever request of it was answered");
    for requests in requests.values() {
        assert!(requests.iter().all(|request| request.attempt() == 1), "what is not recorded is not counted");
    }
    for requests in repeated {
        assert!(are_owed_to_kills(requests, &kills), "{} came twice without need", requests[0].event());
    }
    assert!(!interrupted.is_empty(), "no kill came in the middle of an attempt");
    assert!(repeats <= interrupted.len(), "{repeats} repeats of {} interrupted attempts", interrupted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_was_waiting_comes_after_a_kill_and_not_early() {
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
    assert!(wait >= Duration::from_millis(2999), "the second attempt came after {wait:?}");
    stack.api().delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_in_order_loses_nothing_and_sends_nothing_twice() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::answering(200).await;
    stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let ledger = Arc::new(Ledger::default());
    ledger.publish_on(&stack.api(), 200).await;
    stack.terminate().await;
    stack.restart().await;
    assert_eq!(ledger.accepted().len(), 200);
    let requests = all_came(&receiver, &ledger.accepted()).await;
    let twice: Vec<_> = requests.iter().filter(|(_, requests)| requests.len() > 1).collect();
    assert!(twice.is_empty(), "an attempt was sent twice though no worker died: {twice:?}");
}
