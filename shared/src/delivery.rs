//! A delivery on its way: what its wake-ups mean, what an attempt's outcome decides, and what must follow. No I/O here:
//! every decision is a pure function of the stored delivery, the wake-up, the outcome, the time and a random share.

use crate::{
    endpoint::PostError,
    event_type::EventType,
    id::{AccountId, DeliveryId, EventId, WebhookId},
    schedule::RetrySchedule,
    time::Timestamp,
    webhook::{DisabledReason, Webhook},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

/// How long one worker may hold a delivery: the attempt (5 s) and its record, with room for clocks that differ.
pub const LEASE: Duration = Duration::from_secs(15);

/// How long a pending delivery may be overdue before it counts as standing still. A task that is alive comes sooner: a schedule
/// fires a minute late and is tried again within four, and a message that is given back waits for at most three.
pub const STANDS_STILL_AFTER: Duration = Duration::from_secs(30 * 60);

/// Attempts of one delivery that are kept; recoveries and manual retries push the oldest out.
pub const ATTEMPTS_KEPT: usize = 20;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// An attempt is due, now or later.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// Its last attempt failed.
    Failed,
    /// It waits for a disabled webhook to be enabled and recovered.
    Held,
    /// Its webhook was deleted.
    Cancelled,
}

impl DeliveryStatus {
    /// The word in the API and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for DeliveryStatus {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        let all = [Self::Pending, Self::Delivered, Self::Failed, Self::Held, Self::Cancelled];
        all.into_iter().find(|status| status.as_str() == word).ok_or(())
    }
}

/// Which attempt a wake-up asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// Step `step` (from 1) of the retry schedule. `round` is 0 for the event's publication and the start of the recovery,
    /// in milliseconds, for each run of the schedule that a recovery began.
    Scheduled {
        /// Which run of the schedule.
        round: i64,
        /// Which attempt of it.
        step: u32,
    },
    /// One attempt that a user asked for, outside the schedule; `nonce` tells such requests apart.
    Manual {
        /// Unique to the request.
        nonce: String,
    },
    /// The one attempt of a test delivery.
    Test,
}

impl Turn {
    /// The first attempt after publication.
    pub const FIRST: Self = Self::Scheduled { round: 0, step: 1 };
}

/// The key of this turn's attempt in a delivery: one turn is one attempt, however often its wake-up comes.
impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduled { round, step } => write!(f, "{round}.{step}"),
            Self::Manual { nonce } => write!(f, "manual.{nonce}"),
            Self::Test => f.write_str("test"),
        }
    }
}

/// What keeps an undelivered (event, webhook) pair alive: an SQS message on `deliveries`, or the input of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wakeup {
    /// Whose delivery it is.
    pub account: AccountId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// The webhook's generation when the wake-up was placed.
    pub generation: u32,
    /// Which attempt is asked for.
    pub turn: Turn,
    /// Its slot, where the webhook has a rate limit and it had to wait.
    #[serde(flatten)]
    pub slot: Option<RateSlot>,
    /// Whether it goes through the queue for endpoints that have just timed out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slow: bool,
}

/// What a rate-limited task waits for on the queue. Its fields stand among the task's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateSlot {
    /// When it comes back.
    #[serde(rename = "slot")]
    pub at: Timestamp,
    /// How often it was put back on the queue for its webhook's rate limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requeues: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Wakeup {
    /// The wake-up for the first attempt of `event` to `webhook`.
    pub fn first(webhook: &Webhook, event: EventId) -> Self {
        let delivery = DeliveryId { event, webhook: webhook.id };
        Self {
            account: webhook.account.clone(),
            delivery,
            generation: webhook.generation,
            turn: Turn::FIRST,
            slot: None,
            slow: false,
        }
    }

    /// The webhook it is for.
    pub fn webhook(&self) -> WebhookId {
        self.delivery.webhook
    }

    /// The task of the recovery that took this one's delivery over, where the webhook was disabled, enabled and recovered since
    /// this task was made.
    ///
    /// The event may have been stored after the recovery had looked: this task is then the only one that knows of it. Where the
    /// recovery has sent it as well, the two are copies of one task.
    #[must_use]
    pub fn recovered(&self, webhook: &Webhook) -> Option<Self> {
        let is_scheduled = matches!(self.turn, Turn::Scheduled { .. });
        if !is_scheduled || !webhook.is_enabled() || webhook.generation == self.generation {
            return None;
        }
        let round = webhook.recovery_of(self.delivery.event)?;
        let turn = Turn::Scheduled { round, step: 1 };
        Some(Self { generation: webhook.generation, turn, slot: None, ..self.clone() })
    }

    /// Whether the webhook was disabled after this wake-up was placed, so that the delivery is held.
    pub fn is_held_by(&self, webhook: &Webhook) -> bool {
        match self.turn {
            Turn::Scheduled { .. } => !webhook.is_enabled() || webhook.generation != self.generation,
            Turn::Manual { .. } => !webhook.is_enabled(),
            Turn::Test => false,
        }
    }
}

/// One HTTP POST of a delivery, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The receiver's status, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The first 1 KiB of the receiver's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
}

impl Attempt {
    /// Whether the receiver took the event: it answered 2xx, in time and whole.
    pub fn succeeded(&self) -> bool {
        self.error.is_none() && matches!(self.status_code, Some(200..=299))
    }

    /// Whether the receiver did not answer in time.
    pub fn timed_out(&self) -> bool {
        self.error.as_deref() == Some(PostError::Timeout.as_str())
    }

    fn is_gone(&self) -> bool {
        self.status_code == Some(410)
    }
}

/// Who holds a delivery, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Unique to one handling of one message.
    pub holder: String,
    /// When another worker may take it.
    pub until: Timestamp,
}

/// A delivery as it is stored. It is first written by the claim of its first attempt, and each write is conditional on the
/// one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Whose it is.
    pub account: AccountId,
    /// Its id.
    pub delivery: DeliveryId,
    /// The event's type.
    pub event_type: EventType,
    /// How it stands; see [`Delivery::shown_status`] for how it shows.
    pub status: DeliveryStatus,
    /// The webhook's generation at the last claim.
    pub generation: u32,
    /// The present run of the schedule, as in [`Turn::Scheduled`].
    pub round: i64,
    /// Attempts of this run that are recorded.
    pub step: u32,
    /// Attempts recorded in all.
    pub made: u32,
    /// The latest attempts, by [`Turn`].
    pub attempts: BTreeMap<String, Attempt>,
    /// Who is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

/// Why a wake-up cannot have a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The wake-up's attempt is recorded: what follows from it must be made sure of.
    Attempted,
    /// Another worker is at it until then.
    Leased(Timestamp),
    /// Nothing is left to do for this wake-up.
    Over,
}

/// What must be made durable before a wake-up may be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowUp {
    /// Nothing.
    Nothing,
    /// The next wake-up, at that moment.
    Wake(Wakeup, Timestamp),
    /// The webhook is disabled, and the account's other webhooks are told.
    Disable(DisabledReason),
}

/// What an attempt's outcome means for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How the delivery stands now.
    pub status: DeliveryStatus,
    /// When the next attempt is due.
    pub next_attempt_at: Option<Timestamp>,
}

impl Delivery {
    /// A delivery that nothing has been attempted for yet: `wakeup` begins its first run of the schedule.
    pub fn untouched(wakeup: &Wakeup, event_type: EventType) -> Self {
        let round = match wakeup.turn {
            Turn::Scheduled { round, .. } => round,
            Turn::Manual { .. } | Turn::Test => 0,
        };
        Self {
            account: wakeup.account.clone(),
            delivery: wakeup.delivery,
            event_type,
            status: DeliveryStatus::Pending,
            generation: wakeup.generation,
            round,
            step: 0,
            made: 0,
            attempts: BTreeMap::new(),
            claim: None,
            next_attempt_at: None,
        }
    }

    /// The number of the attempt that comes next.
    pub fn next_number(&self) -> u32 {
        self.made + 1
    }

    /// The delivery, taken by `claim` for the attempt that `wakeup` asks for at `now`.
    pub fn claimed(mut self, wakeup: &Wakeup, claim: Claim, now: Timestamp) -> Result<Self, Refusal> {
        self.admits(wakeup, now)?;
        if let Turn::Scheduled { round, step } = wakeup.turn {
            self.status = DeliveryStatus::Pending;
            self.round = round;
            self.step = step - 1;
            self.generation = wakeup.generation;
            self.next_attempt_at = None;
        }
        self.claim = Some(claim);
        Ok(self)
    }

    /// The delivery, put aside as `status` (held, cancelled, or failed for want of its event) in place of the attempt that
    /// `wakeup` asks for at `now`. A retry by hand is left out alone.
    pub fn put_aside(mut self, wakeup: &Wakeup, status: DeliveryStatus, now: Timestamp) -> Result<Self, Refusal> {
        self.admits(wakeup, now)?;
        if !matches!(wakeup.turn, Turn::Manual { .. }) {
            self.status = status;
            self.next_attempt_at = None;
        }
        self.claim = None;
        Ok(self)
    }

    /// Whether `wakeup` may have this delivery at `now`.
    pub fn admits(&self, wakeup: &Wakeup, now: Timestamp) -> Result<(), Refusal> {
        if self.attempts.contains_key(&wakeup.turn.to_string()) {
            return Err(Refusal::Attempted);
        }
        match &self.claim {
            Some(claim) if now < claim.until => Err(Refusal::Leased(claim.until)),
            _ if self.wants(wakeup, now) => Ok(()),
            _ => Err(Refusal::Over),
        }
    }

    /// Whether `wakeup` still has an attempt to make here at `now`.
    pub fn wants(&self, wakeup: &Wakeup, now: Timestamp) -> bool {
        let attempted = self.attempts.contains_key(&wakeup.turn.to_string());
        !attempted
            && match wakeup.turn {
                Turn::Scheduled { round, step } => {
                    let goes_on =
                        self.status == DeliveryStatus::Pending && self.round == round && self.step + 1 == step;
                    goes_on || (step == 1 && self.round < round && self.is_recoverable(wakeup.generation, now))
                }
                Turn::Manual { .. } => self.status != DeliveryStatus::Cancelled,
                Turn::Test => self.status == DeliveryStatus::Pending,
            }
    }

    /// Whether a recovery at the webhook's `generation` sends it again at `now`: it ended undelivered, an older disabling holds
    /// it, or it stands still.
    pub fn is_recoverable(&self, generation: u32, now: Timestamp) -> bool {
        match self.status {
            DeliveryStatus::Held | DeliveryStatus::Failed => true,
            DeliveryStatus::Pending => self.generation < generation || self.stands_still(now),
            DeliveryStatus::Delivered | DeliveryStatus::Cancelled => false,
        }
    }

    /// Whether a pending delivery has no live task any more, as far as it shows: its attempt, or else its lease, is overdue by
    /// more than [`STANDS_STILL_AFTER`]. Taking a live one for lost is harmless: the newer run makes the older one's tasks
    /// obsolete.
    pub fn stands_still(&self, now: Timestamp) -> bool {
        let due = self.next_attempt_at.or(self.claim.as_ref().map(|claim| claim.until));
        self.status == DeliveryStatus::Pending && due.is_none_or(|due| due.plus(STANDS_STILL_AFTER) <= now)
    }

    /// What `attempt`, made for `turn`, decides.
    pub fn verdict(
        &self,
        turn: &Turn,
        attempt: &Attempt,
        schedule: &RetrySchedule,
        retry_after: Option<Duration>,
        ended_at: Timestamp,
        jitter: f64,
    ) -> Verdict {
        let ended = |status| Verdict { status, next_attempt_at: None };
        if attempt.succeeded() {
            return ended(DeliveryStatus::Delivered);
        }
        match turn {
            Turn::Test => ended(DeliveryStatus::Failed),
            Turn::Manual { .. } => Verdict { status: self.status, next_attempt_at: self.next_attempt_at },
            Turn::Scheduled { .. } if attempt.is_gone() => ended(DeliveryStatus::Failed),
            Turn::Scheduled { step, .. } => match schedule.next(*step, ended_at, retry_after, jitter) {
                Some(due) => Verdict { status: DeliveryStatus::Pending, next_attempt_at: Some(due) },
                None => ended(DeliveryStatus::Failed),
            },
        }
    }

    /// Takes `attempt` and its verdict into the delivery; gives the key of the attempt that is no longer kept.
    pub fn record(&mut self, turn: &Turn, attempt: Attempt, verdict: Verdict) -> Option<String> {
        if let Turn::Scheduled { step, .. } = turn {
            self.step = *step;
        }
        self.made = attempt.number;
        self.status = verdict.status;
        self.next_attempt_at = verdict.next_attempt_at;
        self.claim = None;
        self.attempts.insert(turn.to_string(), attempt);
        if self.attempts.len() <= ATTEMPTS_KEPT {
            return None;
        }
        let (oldest, _) = self.attempts.iter().min_by_key(|(_, attempt)| attempt.number)?;
        let oldest = oldest.clone();
        self.attempts.remove(&oldest);
        Some(oldest)
    }

    /// What follows from the recorded attempt of `wakeup`. The same answer every time it is asked, so that a repeated
    /// wake-up can make sure of it.
    pub fn follow_up(&self, wakeup: &Wakeup) -> FollowUp {
        let Some(attempt) = self.attempts.get(&wakeup.turn.to_string()) else { return FollowUp::Nothing };
        match wakeup.turn {
            Turn::Scheduled { round, step } if (round, step) == (self.round, self.step) => {
                match (self.status, self.next_attempt_at) {
                    (DeliveryStatus::Pending, Some(due)) => {
                        let turn = Turn::Scheduled { round, step: step + 1 };
                        let slow = attempt.timed_out();
                        FollowUp::Wake(Wakeup { turn, slot: None, slow, ..wakeup.clone() }, due)
                    }
                    (DeliveryStatus::Failed, _) if attempt.is_gone() => FollowUp::Disable(DisabledReason::Gone),
                    (DeliveryStatus::Failed, _) => FollowUp::Disable(DisabledReason::Failures),
                    _ => FollowUp::Nothing,
                }
            }
            Turn::Manual { .. } if attempt.is_gone() => FollowUp::Disable(DisabledReason::Gone),
            _ => FollowUp::Nothing,
        }
    }

    /// How the delivery stands, given its webhook as it is now: what was pending when the webhook was disabled is held, and
    /// when it was deleted, cancelled. Nothing needs to be written for either to be true.
    pub fn shown_status(&self, webhook: Option<&Webhook>) -> DeliveryStatus {
        match (self.status, webhook) {
            (DeliveryStatus::Pending | DeliveryStatus::Held, None) => DeliveryStatus::Cancelled,
            (DeliveryStatus::Pending, Some(webhook)) if self.generation < webhook.generation => DeliveryStatus::Held,
            (status, _) => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn wakeup(turn: Turn) -> Wakeup {
        let delivery = DeliveryId { event: EventId::first_at(NOW), webhook: WebhookId::first_at(NOW) };
        Wakeup { account: "acme".parse().expect("valid"), delivery, generation: 0, turn, slot: None, slow: false }
    }

    fn scheduled(step: u32) -> Wakeup {
        wakeup(Turn::Scheduled { round: 0, step })
    }

    fn answered(number: u32, status_code: u16) -> Attempt {
        Attempt {
            number,
            started_at: NOW,
            duration_ms: 3,
            status_code: Some(status_code),
            error: None,
            response_body: None,
        }
    }

    /// A delivery after attempts with these answers, step by step.
    fn after(answers: &[u16]) -> Delivery {
        let mut delivery = Delivery::untouched(&scheduled(1), "user.created".parse().expect("valid"));
        for (step, status) in (1..).zip(answers) {
            attempt(&mut delivery, &scheduled(step).turn, *status);
        }
        delivery
    }

    fn attempt(delivery: &mut Delivery, turn: &Turn, status: u16) {
        let attempt = answered(delivery.made + 1, status);
        let verdict = delivery.verdict(turn, &attempt, &RetrySchedule::default(), None, NOW, 0.0);
        delivery.record(turn, attempt, verdict);
    }

    #[test]
    fn a_failure_is_followed_by_the_next_step() {
        let delivery = after(&[500]);
        let due = NOW.plus(Duration::from_secs(60));
        assert_eq!(delivery.follow_up(&scheduled(1)), FollowUp::Wake(scheduled(2), due));
        assert_eq!(delivery.next_attempt_at, Some(due));
        assert!(
            delivery.wants(&scheduled(2), NOW)
                && !delivery.wants(&scheduled(1), NOW)
                && !delivery.wants(&scheduled(3), NOW)
        );
    }

    #[test]
    fn the_last_failure_disables_and_says_so_each_time_it_is_asked() {
        let delivery = after(&[500; 5]);
        assert_eq!(delivery.status, DeliveryStatus::Failed);
        for _ in 0..2 {
            assert_eq!(delivery.follow_up(&scheduled(5)), FollowUp::Disable(DisabledReason::Failures));
        }
        assert_eq!(delivery.follow_up(&scheduled(4)), FollowUp::Nothing);
    }

    #[test]
    fn success_ends_it_and_gone_disables_at_once() {
        let delivered = after(&[500, 500, 204]);
        assert_eq!((delivered.status, delivered.made), (DeliveryStatus::Delivered, 3));
        assert_eq!(delivered.follow_up(&scheduled(3)), FollowUp::Nothing);
        assert!(!delivered.wants(&scheduled(4), NOW));
        assert_eq!(after(&[410]).follow_up(&scheduled(1)), FollowUp::Disable(DisabledReason::Gone));
    }

    #[test]
    fn a_redirect_and_a_cut_answer_are_failures() {
        assert_eq!(after(&[302]).status, DeliveryStatus::Pending);
        let cut = Attempt { error: Some("timeout".to_owned()), ..answered(1, 200) };
        assert!(!cut.succeeded());
    }

    #[test]
    fn a_manual_retry_leaves_the_schedule_alone_unless_it_succeeds() {
        let manual = Turn::Manual { nonce: "a".to_owned() };
        let mut delivery = after(&[500]);
        let due = delivery.next_attempt_at;
        attempt(&mut delivery, &manual, 500);
        assert_eq!((delivery.status, delivery.next_attempt_at, delivery.made), (DeliveryStatus::Pending, due, 2));
        assert!(delivery.wants(&scheduled(2), NOW), "the schedule goes on");
        assert!(!delivery.wants(&wakeup(manual), NOW), "once");
        attempt(&mut delivery, &Turn::Manual { nonce: "b".to_owned() }, 200);
        assert!(!delivery.wants(&scheduled(2), NOW));
    }

    #[test]
    fn a_test_is_sent_once_and_disables_nothing() {
        let mut delivery = after(&[]);
        attempt(&mut delivery, &Turn::Test, 410);
        assert_eq!(delivery.status, DeliveryStatus::Failed);
        assert_eq!(delivery.follow_up(&wakeup(Turn::Test)), FollowUp::Nothing);
    }

    #[test]
    fn a_recovery_runs_the_schedule_anew_and_only_for_the_undelivered() {
        let recovery = |round| wakeup(Turn::Scheduled { round, step: 1 });
        let mut failed = after(&[500; 5]);
        assert!(failed.wants(&recovery(9), NOW));
        failed.round = 9;
        assert!(
            !failed.wants(&recovery(9), NOW) && !failed.wants(&recovery(8), NOW),
            "an older or repeated recovery adds nothing"
        );
        assert!(!after(&[200]).wants(&recovery(9), NOW));
        let missed = Delivery::untouched(&recovery(9), "user.created".parse().expect("valid"));
        assert!(missed.wants(&recovery(9), NOW), "published while the webhook was disabled");
        assert!(!after(&[500]).wants(&recovery(9), NOW), "it is on its way already");
    }

    #[test]
    fn an_attempt_under_way_sends_others_back_to_the_queue() {
        let until = NOW.plus(LEASE);
        let claim = |holder: &str| Claim { holder: holder.to_owned(), until };
        let claimed = after(&[]).claimed(&scheduled(1), claim("a"), NOW).expect("nobody is at it");
        assert_eq!(claimed.clone().claimed(&scheduled(1), claim("b"), NOW), Err(Refusal::Leased(until)));
        assert!(claimed.clone().claimed(&scheduled(1), claim("b"), until).is_ok(), "the lease is over");
        assert_eq!(after(&[500]).claimed(&scheduled(1), claim("b"), NOW), Err(Refusal::Attempted));
        assert_eq!(after(&[500]).claimed(&scheduled(3), claim("b"), NOW), Err(Refusal::Over));
    }

    #[test]
    fn a_disabled_webhook_holds_what_was_pending_until_a_recovery() {
        let held = after(&[500]).put_aside(&scheduled(2), DeliveryStatus::Held, NOW).expect("it was pending");
        assert_eq!((held.status, held.next_attempt_at), (DeliveryStatus::Held, None));
        assert!(!held.wants(&scheduled(2), NOW));
        assert!(held.wants(&wakeup(Turn::Scheduled { round: 7, step: 1 }), NOW));
        let delivered = after(&[200]).put_aside(&scheduled(2), DeliveryStatus::Held, NOW);
        assert_eq!(delivered, Err(Refusal::Over), "what was delivered stays so");
    }

    #[test]
    fn a_test_that_cannot_be_sent_any_more_has_ended() {
        let test = wakeup(Turn::Test);
        let ended = after(&[]).put_aside(&test, DeliveryStatus::Failed, NOW).expect("it was pending");
        assert!(ended.status == DeliveryStatus::Failed && !ended.wants(&test, NOW));
    }

    #[test]
    fn what_stands_still_is_recovered_and_what_waits_is_not() {
        let recovery = wakeup(Turn::Scheduled { round: 9, step: 1 });
        let pending = after(&[500]);
        let due = pending.next_attempt_at.expect("a further attempt");
        let lost = due.plus(STANDS_STILL_AFTER);
        assert!(!pending.wants(&recovery, lost.minus(Duration::from_millis(1))), "it may still be on its way");
        assert!(pending.wants(&recovery, lost));
        let claim = Claim { holder: "a".to_owned(), until: NOW.plus(LEASE) };
        let leased = after(&[]).claimed(&scheduled(1), claim, NOW).expect("nobody is at it");
        assert!(!leased.stands_still(NOW.plus(LEASE)) && leased.stands_still(NOW.plus(LEASE + STANDS_STILL_AFTER)));
        assert!(!after(&[204]).stands_still(lost), "what has ended stands still for good");
    }

    #[test]
    fn a_failed_manual_retry_of_a_held_delivery_leaves_it_to_recoveries() {
        let manual = wakeup(Turn::Manual { nonce: "a".to_owned() });
        let event_type = "user.created".parse().expect("valid");
        let mut held = Delivery { status: DeliveryStatus::Held, ..Delivery::untouched(&manual, event_type) };
        attempt(&mut held, &manual.turn, 500);
        assert_eq!((held.status, held.next_attempt_at), (DeliveryStatus::Held, None));
        assert!(held.wants(&wakeup(Turn::Scheduled { round: 9, step: 1 }), NOW));
    }

    #[test]
    fn what_timed_out_goes_on_apart_from_others() {
        let mut delivery = after(&[]);
        let timeout = Attempt { status_code: None, error: Some("timeout".to_owned()), ..answered(1, 0) };
        let verdict = delivery.verdict(&Turn::FIRST, &timeout, &RetrySchedule::default(), None, NOW, 0.0);
        delivery.record(&Turn::FIRST, timeout, verdict);
        let FollowUp::Wake(next, _) = delivery.follow_up(&scheduled(1)) else { panic!("a further attempt") };
        assert!(next.slow);
        attempt(&mut delivery, &next.turn, 500);
        let FollowUp::Wake(next, _) = delivery.follow_up(&next) else { panic!("a further attempt") };
        assert!(!next.slow);
    }

    #[test]
    fn only_the_latest_attempts_are_kept() {
        let mut delivery = after(&[500; 5]);
        for nonce in 0..ATTEMPTS_KEPT {
            attempt(&mut delivery, &Turn::Manual { nonce: nonce.to_string() }, 500);
        }
        assert_eq!((delivery.attempts.len(), delivery.made as usize), (ATTEMPTS_KEPT, ATTEMPTS_KEPT + 5));
        assert_eq!(delivery.attempts.values().map(|attempt| attempt.number).min(), Some(6));
    }
}
