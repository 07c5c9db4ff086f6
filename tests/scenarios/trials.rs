//! Trials: a receiver that was down for an hour and is well again, and an event that is cancelled before its
//! trial.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use application::cancelling;
use domain::backoff::RetrySchedule;
use domain::delivery::{Delivery, Task};
use domain::webhook::{DisabledReason, Webhook};
use store::deliveries::Versioned;
use store::tasks;
use tokio::time::{Instant, sleep};

use crate::world::{Fate, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The events that are held: more than one job of a recovery sends.
const HELD: usize = 520;
/// The attempts of the delivery that disables the webhook, and the trials that fail.
const FAILED: usize = 2 + 2;

/// The statuses with which the receivers of `paced` and `limited` answer.
static PACED: AtomicU16 = AtomicU16::new(503);
static LIMITED: AtomicU16 = AtomicU16::new(503);

fn status_of(host: &str) -> &'static AtomicU16 {
    if host.starts_with("limited") { &LIMITED } else { &PACED }
}

async fn wait_until(world: &World, webhook: &Webhook, longest: Duration, wanted: impl Fn(&Webhook) -> bool) -> Webhook {
    let end = Instant::now() + longest;
    loop {
        let found = store::webhooks::get(&world.app.store, &world.account, webhook.id).await.expect("AWS answers");
        let found = found.expect("the webhook");
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < end, "not within {longest:?}");
        sleep(5 * SECOND).await;
    }
}

/// Lets the receiver of `host` be down for an hour, and checks when its webhook is enabled, and that all that was held
/// arrives within `HELD / per_second` seconds and some. Returns when each event arrived.
async fn recover(host: &str, rate_limit: Option<u32>, per_second: u32) -> Vec<Duration> {
    let world = World::new(|_| Fate::Done, |host| Some(status_of(host).load(Ordering::SeqCst))).await;
    let webhook = world.register(host).await;
    let schedule: RetrySchedule = "0s,1s".parse().expect("a schedule");
    let change = |webhook: &mut Webhook| {
        webhook.options.retry_schedule = Some(schedule.clone());
        webhook.rate_limit = rate_limit;
    };
    world.change(webhook.id, change).await;
    world.start(4, 1);
    world.publish().await;
    wait_until(&world, &webhook, MINUTE, |webhook| !webhook.is_enabled()).await;
    let disabled = world.elapsed();
    for _ in 0..HELD {
        world.publish().await;
    }
    // The trials after 5 and 15 minutes fail. The next one is due an hour after the disabling.
    sleep(20 * MINUTE).await;
    assert_eq!(world.posts_to(host).len(), FAILED);
    status_of(host).store(200, Ordering::SeqCst);
    wait_until(&world, &webhook, HOUR, Webhook::is_enabled).await;
    let enabled = world.elapsed();
    assert!(enabled <= disabled + HOUR + MINUTE + 10 * SECOND, "{enabled:?} after {disabled:?}");
    let spread = SECOND * (u32::try_from(HELD).expect("a number") / per_second);
    world.wait_for(host, FAILED + HELD, spread + 20 * SECOND).await;
    let sent = world.posts_to(host).split_off(FAILED + 1);
    let (first, last) = (sent[0], sent[sent.len() - 1]);
    assert!(last + 3 * SECOND >= first + spread, "all from {first:?} to {last:?}");
    sleep(10 * MINUTE).await;
    assert_eq!(world.posts_to(host).len(), FAILED + HELD, "nothing is sent twice");
    sent
}

#[tokio::test(start_paused = true)]
async fn everything_held_arrives_after_one_rung_and_what_the_pace_allows() {
    let sent = recover("paced", None, 10).await;
    // Ten a second. A message is received up to a second late, so that two seconds may come together.
    for window in sent.windows(31) {
        assert!(window[30] >= window[0] + SECOND, "31 from {:?} to {:?}", window[0], window[30]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_with_a_rate_limit_gets_what_was_held_at_that_rate() {
    recover("limited", Some(40), 40).await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_whose_event_was_cancelled_takes_another_one() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    let webhook = world.register("other").await;
    let cause = world.new_event().id;
    let disable = |webhook: &mut Webhook| {
        let now = world.app.clock.now();
        webhook.disable(DisabledReason::Failures, now);
        webhook.begin_trials(cause, now, Some(&world.app.trial_schedule));
    };
    world.change(webhook.id, disable).await;
    sleep(10 * SECOND).await;
    let (first, second) = (world.publish().await, world.publish().await);
    let chosen = world.change(webhook.id, |webhook| webhook.choose_for_trial(1, first, None)).await;
    let delivery = Delivery::new(&Task::first(&chosen, first), "user.created".parse().expect("a type"));
    cancelling::cancel(&world.app, delivery, Versioned::NONE).await.expect("AWS answers");
    sleep(5 * MINUTE).await;
    let task = Task::of_trial(&chosen).expect("it waits for a trial");
    tasks::enqueue(&world.app.queues, &[task], Duration::ZERO).await.expect("AWS answers");
    world.start(2, 1);
    wait_until(&world, &webhook, MINUTE, Webhook::is_enabled).await;
    sleep(MINUTE).await;
    assert_eq!(world.posts_to("other").len(), 1, "the second event alone");
    let tried = world.delivery(second, webhook.id).await.expect("a delivery");
    assert_eq!(tried.attempts.keys().map(ToString::to_string).collect::<Vec<_>>(), ["trial.1.1"]);
}
