//! `hookline listen --name` and its server are killed again and again while events are published: every event that was
//! accepted arrives.
//!
//! `LISTEN_KILLS=100` kills the listener 100 times and the server 20 times, which takes some three minutes.

use std::collections::{HashMap, HashSet};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use super::listen::{listen, webhooks};
use crate::harness::client::Api;
use crate::harness::hookline::Hookline;
use crate::harness::random::Seed;
use crate::harness::receiver::{Answer, Received, Receiver};
use crate::harness::signature::check;
use crate::harness::stack::{Options, Stack};

/// The kills of the listener, unless `LISTEN_KILLS` says otherwise.
const KILLS: usize = 10;
/// The server is killed at every kill of this number.
const SERVER_EVERY: usize = 5;
/// The wait between two events: 50 a second.
const EVERY: Duration = Duration::from_millis(20);
/// The most requests of the publisher that wait for an answer.
const UNDER_WAY_MAX: usize = 16;
/// The longest time that a listener runs before its kill. It polls each second.
const RUN_MAX_MS: u64 = 1500;
/// The longest time that the receiver takes to answer.
const ANSWER_MAX_MS: u64 = 10;
/// The longest wait for all accepted events at the end.
const DEADLINE: Duration = Duration::from_secs(120);
/// The age of the requests whose signatures are checked. The verifier refuses what was signed more than 5 min ago.
const SIGNED_WITHIN: Duration = Duration::from_mins(4);

/// What was published.
#[derive(Default)]
struct Ledger {
    /// The ids of the events that were answered with 202.
    accepted: Mutex<Vec<String>>,
    /// The requests without an answer. Their events may or may not be stored.
    unanswered: AtomicUsize,
}

impl Ledger {
    async fn publish(&self, api: &Api) {
        let body = br#"{"type":"resource.created","data":{"object":{"id":"res_1"}}}"#.to_vec();
        match api.try_send(Method::POST, "/v1/events", Some(("application/json", body))).await {
            Ok(reply) => {
                reply.expect(202);
                self.accepted.lock().expect("no panic").push(reply.id());
            }
            Err(_) => {
                self.unanswered.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Publishes 50 events a second, whatever becomes of each, as long as not too many wait for an answer.
    async fn publish_on(self: Arc<Self>, api: Api) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        loop {
            ticks.tick().await;
            let permit = Arc::clone(&under_way).acquire_owned().await;
            let (ledger, api) = (Arc::clone(&self), api.clone());
            tokio::spawn(async move {
                ledger.publish(&api).await;
                drop(permit);
            });
        }
    }

    fn accepted(&self) -> Vec<String> {
        self.accepted.lock().expect("no panic").clone()
    }
}

fn kills() -> usize {
    std::env::var("LISTEN_KILLS").map_or(KILLS, |text| text.parse().expect("LISTEN_KILLS is a whole number"))
}

/// Runs a listener and kills it at some moment; at some kills the server as well, before it, with it, or after it.
async fn kill_once(stack: &mut Stack, user: &Hookline, receiver: &Receiver, run: [Duration; 2], with_server: bool) {
    let mut listener = listen(user, receiver, &["--name", "mine"]).await;
    tokio::time::sleep(run[0]).await;
    if with_server {
        stack.kill_hard().await;
        // The listener notices, or goes on and finds the server again.
        tokio::time::sleep(run[1]).await;
        stack.restart_in_place().await;
        tokio::time::sleep(run[1]).await;
    }
    let status = listener.program.end_by("KILL").await;
    assert_eq!(status.signal(), Some(9), "it must not end by itself: {status}");
}

/// The requests of each event, in order of arrival, and how often an event arrived first after a newer one.
fn by_event(seen: &[Arc<Received>]) -> (HashMap<String, usize>, usize) {
    let (mut requests, mut newest, mut overtaken) = (HashMap::new(), String::new(), 0);
    for request in seen {
        let id = request.event().to_owned();
        if !requests.contains_key(&id) {
            overtaken += usize::from(id < newest);
            newest = newest.max(id.clone());
        }
        *requests.entry(id).or_insert(0) += 1;
    }
    (requests, overtaken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_event_arrives_through_kills_of_the_listener_and_of_the_server() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let seed = Seed::from_environment();
    println!("{seed}");
    let (moments, answers, kills) = (seed.stream(1), seed.stream(2), kills());
    let receiver = Receiver::scripted(move |_, _| Answer::status(200).after_ms(answers.below(ANSWER_MAX_MS))).await;
    let user = Hookline::of(&stack);
    // The position of the first start is that from which on nothing may be lost.
    let mut first = listen(&user, &receiver, &["--name", "mine"]).await;
    first.program.kill().await;

    let (ledger, began) = (Arc::new(Ledger::default()), tokio::time::Instant::now());
    let publisher = tokio::spawn(Arc::clone(&ledger).publish_on(stack.api()));
    for number in 1..=kills {
        let run = [(); 2].map(|()| Duration::from_millis(moments.below(RUN_MAX_MS)));
        kill_once(&mut stack, &user, &receiver, run, number % SERVER_EVERY == 0).await;
        if number % SERVER_EVERY == 0 {
            println!("kill {number}: {} accepted, {} arrived", ledger.accepted().len(), receiver.seen().len());
        }
    }
    publisher.abort();
    let published_for = began.elapsed();
    // Each request under way has a handle of the ledger.
    while Arc::strong_count(&ledger) > 1 {
        tokio::time::sleep(EVERY).await;
    }
    let last = listen(&user, &receiver, &["--name", "mine"]).await;
    let what = "every accepted event";
    let requests = receiver
        .wait_until(DEADLINE, what, |seen| {
            let accepted = ledger.accepted();
            seen.len() >= accepted.len() && {
                let arrived: HashSet<_> = seen.iter().map(|request| request.event()).collect();
                accepted.iter().all(|id| arrived.contains(id.as_str()))
            }
        })
        .await;
    for request in requests.iter().filter(|request| request.at.elapsed() < SIGNED_WITHIN) {
        check(request, &last.secret);
    }
    let (accepted, unanswered) = (ledger.accepted().len(), ledger.unanswered.load(Ordering::SeqCst));
    let (events, overtaken) = by_event(&requests);
    let repeats = requests.len() - events.len();
    println!(
        "{kills} kills of the listener and {} of the server in {published_for:?}: {accepted} accepted, {unanswered} requests \
         without an answer, {} events arrived, {repeats} repeats, {overtaken} first arrived after a newer event",
        kills / SERVER_EVERY,
        events.len(),
    );
    assert!(accepted > kills * 20, "hardly anything was published");
    assert!(repeats <= kills, "a kill repeats the event under way, and no other");
    let kept = webhooks(&stack.api()).await.len();
    assert_eq!(kept, 1, "one webhook through all kills");
}
