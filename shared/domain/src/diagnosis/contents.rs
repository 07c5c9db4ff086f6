//! What stands around the body in the signed text: nothing in `X-Webhook-Signature`, id and timestamp in `webhook-signature`. Where the
//! headers with them were changed, what they may have been.

use super::{
    Code, Evidence,
    change::{Candidate, Change},
    keys::Keying,
    received::{ATTEMPT, ID, Received, TIMESTAMP},
    search::Around,
};
use crate::{delivery::Attempt, event::Event, id::WebhookId, time::Timestamp};
use std::time::Duration;

/// How far from the given timestamp every second is tried.
const NEAR_S: i64 = 600;
/// How far time zones may put a timestamp off, and in which steps.
const ZONES_S: i64 = 14 * 60 * 60;
const ZONE_STEP_S: usize = 15 * 60;
/// The most seconds of one recorded attempt that are tried.
const ATTEMPT_S: i64 = 30;
/// The most seconds of recorded attempts that are tried.
const RECORDED_MAX: usize = 400;

/// The text around the body in `X-Webhook-Signature`: none.
pub(super) fn alone() -> Candidate<Around> {
    Candidate::as_is(Around::default())
}

/// The text around the body in `webhook-signature`.
pub(super) fn standard(id: &str, timestamp: &str) -> Around {
    Around {
        before: format!("{id}.{timestamp}.").into_bytes(),
        timestamp: timestamp.to_owned(),
        is_standard: true,
        keying: Keying::Standard,
        ..Around::default()
    }
}

/// The ids that may have been signed, the one in the header first.
pub(super) fn ids(received: &Received, stored: Option<&Event>) -> Vec<Candidate<String>> {
    let header = received.headers.first(ID);
    let mut found: Vec<_> = header.map(|id| Candidate::as_is(id.to_owned())).into_iter().collect();
    let others =
        [stored.map(|event| event.id.to_string()), header.map(|id| id.trim().to_owned()), received.id_in_body()];
    for id in others.into_iter().flatten().filter(|id| id.len() <= 256) {
        if found.iter().all(|other| other.value != id) {
            let change = match header {
                Some(_) => Change::new(Code::IdChanged, format!("{ID} was changed: it was made for {id:?}.")),
                None => Change::new(
                    Code::HeaderMissing,
                    format!("{ID} is missing, which is part of what is signed. It was {id:?}."),
                ),
            };
            found.push(Candidate::changed(id, change));
        }
    }
    found
}

/// The timestamps that may have been signed, the one in the header first.
pub(super) fn timestamps<'a>(
    received: &Received,
    attempts: impl Iterator<Item = &'a Attempt>,
) -> Vec<Candidate<String>> {
    let header = received.headers.first(TIMESTAMP);
    let mut found: Vec<_> = header.map(|text| Candidate::as_is(text.to_owned())).into_iter().collect();
    let recorded = attempts.flat_map(|attempt| {
        let began = attempt.started_at.unix_seconds();
        let lasted = i64::try_from(attempt.duration_ms / 1000).unwrap_or(ATTEMPT_S).min(ATTEMPT_S);
        began..=began + lasted + 1
    });
    let written = header.into_iter().flat_map(other_readings);
    for second in written.chain(recorded.take(RECORDED_MAX)).map(|second: i64| second.to_string()) {
        if found.iter().all(|other| other.value != second) {
            found.push(Candidate::changed(second.clone(), timestamp_change(header, &second)));
        }
    }
    found
}

fn timestamp_change(header: Option<&str>, second: &str) -> Change {
    match header {
        Some(_) => Change::new(Code::TimestampChanged, format!("{TIMESTAMP} was changed: it was made for {second}.")),
        None => Change::new(
            Code::HeaderMissing,
            format!("{TIMESTAMP} is missing, which is part of what is signed. It was {second}."),
        ),
    }
}

/// What a timestamp may be in seconds, if it is written in another form: with white space, in milliseconds, as a time.
fn other_readings(text: &str) -> Vec<i64> {
    let trimmed = text.trim().trim_matches('"');
    let time = Timestamp::parse_rfc3339(trimmed).ok().map(Timestamp::unix_seconds);
    let number = trimmed.split('.').next().and_then(|whole| whole.parse::<i64>().ok());
    let smaller = number.into_iter().flat_map(|number| [number, number / 1000, number / 1_000_000]);
    time.into_iter().chain(smaller).collect()
}

/// The seconds around the given timestamp, and those of other time zones: tried if nothing else explains a signature.
pub(super) fn near(received: &Received) -> Vec<Candidate<String>> {
    let header = received.headers.first(TIMESTAMP);
    let Some(given) = header.and_then(|text| other_readings(text).into_iter().next()) else { return vec![] };
    let apart = (1..=NEAR_S).chain((0..=ZONES_S).step_by(ZONE_STEP_S));
    let seconds = apart.flat_map(|apart| [given.checked_sub(apart), given.checked_add(apart)]).flatten();
    seconds
        .map(|second| Candidate::changed(second.to_string(), timestamp_change(header, &second.to_string())))
        .collect()
}

/// Every text around the body that ids and timestamps make.
pub(super) fn combined(
    ids: &[Candidate<String>],
    timestamps: &[Candidate<String>],
    make: impl Fn(&str, &str) -> Around,
) -> Vec<Candidate<Around>> {
    let pairs = ids.iter().flat_map(|id| timestamps.iter().map(move |timestamp| (id, timestamp)));
    let combine = |(id, timestamp): (&Candidate<String>, &Candidate<String>)| Candidate {
        value: make(&id.value, &timestamp.value),
        changes: id.changes.iter().chain(&timestamp.changes).cloned().collect(),
    };
    pairs.map(combine).collect()
}

/// The same texts, of a signature that stands in the wrong header.
pub(super) fn misplaced(around: &[Candidate<Around>], belongs: &str) -> Vec<Candidate<Around>> {
    let change = Change::new(Code::WrongHeader, format!("It is the signature of {belongs}, in another header."));
    let misplace = |one: &Candidate<Around>| Candidate {
        value: one.value.clone(),
        changes: std::iter::once(change.clone()).chain(one.changes.iter().cloned()).collect(),
    };
    around.iter().map(misplace).collect()
}

/// How far the time of the signature may be from the time of receipt, as in the reference libraries of Standard Webhooks.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// Returns the recorded attempt that the request says it is, by `X-Webhook-Attempt`. If the webhook is not known, it must be the only
/// one with such an attempt.
pub(super) fn recorded_attempt<'a>(
    received: &Received,
    evidence: &'a Evidence,
    webhook: Option<WebhookId>,
) -> Option<&'a Attempt> {
    let number: u32 = received.headers.first(ATTEMPT)?.trim().parse().ok()?;
    let of = |attempts: &'a Vec<Attempt>| attempts.iter().find(|attempt| attempt.number == number);
    match webhook.or(evidence.asked) {
        Some(webhook) => evidence.attempts.get(&webhook).and_then(of),
        None => {
            let mut all = evidence.attempts.values().filter_map(of);
            all.next().filter(|_| all.next().is_none())
        }
    }
}

/// Says how far a signature was made from the time when the request was received, or else from that of the recorded attempt, if that
/// is too far.
pub(super) fn out_of_tolerance(
    signed_at: Timestamp,
    received_at: Option<Timestamp>,
    attempt: Option<&Attempt>,
) -> Option<String> {
    let apart = |one: Timestamp, other: Timestamp| one.since(other).max(other.since(one));
    let side = |at: Timestamp| if at > signed_at { "after" } else { "before" };
    match (received_at, attempt) {
        (Some(received), attempt) if apart(signed_at, received) > TOLERANCE => {
            let seconds = apart(signed_at, received).as_secs();
            let recorded = attempt.map(|attempt| format!(" The recorded attempt began at {}.", attempt.started_at));
            Some(format!(
                "But {TIMESTAMP} is {signed_at}, and the request was received {seconds} s {}: more than the {} s that verifiers \
                 allow.{} If it was checked at once, the receiver's clock is wrong.",
                side(received),
                TOLERANCE.as_secs(),
                recorded.unwrap_or_default(),
            ))
        }
        (None, Some(attempt)) => {
            let (began, ended) =
                (attempt.started_at, attempt.started_at.plus(Duration::from_millis(attempt.duration_ms)));
            let nearest = signed_at.clamp(began, ended);
            (apart(signed_at, nearest) > TOLERANCE).then(|| {
                let seconds = apart(signed_at, nearest).as_secs();
                format!(
                    "But {TIMESTAMP} is {signed_at}, and the recorded attempt {} was made {seconds} s {}: more than the {} s that \
                     verifiers allow.",
                    attempt.number,
                    side(nearest),
                    TOLERANCE.as_secs(),
                )
            })
        }
        _ => None,
    }
}
