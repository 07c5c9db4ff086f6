//! The receivers: each webhook's URL names one. A receiver goes through spells, healthy and bad ones, and logs every request
//! that reaches it, whatever it then answers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hookline::endpoint::PostError;
use http::HeaderMap;
use reqwest::{Request, Response};
use tokio::time::sleep;

use crate::dice::Dice;
use crate::faults::Kind;
use crate::processes::Identity;

/// What the names of receivers end in.
pub(crate) const DOMAIN: &str = "receiver.example";

/// A request as a receiver saw it.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) at_ms: i64,
    /// When the receiver was done with it; `None` where the sender was gone before.
    pub(crate) ended_ms: Option<i64>,
    pub(crate) invocation: u64,
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What it answered; `None` where it broke off or never did.
    pub(crate) status: Option<u16>,
    /// What it asked for by `Retry-After`, in seconds.
    pub(crate) retry_after_s: Option<u64>,
}

impl Post {
    /// A header that every delivery has.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn is_taken(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }
}

/// How a receiver behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spell {
    Healthy,
    /// Every other request fails somehow.
    Flaky,
    /// Every request fails in this way.
    Down(Kind),
}

/// Ways in which a request fails.
const FAILURES: &[(Kind, u32)] = &[
    (Kind::ServerError, 10),
    (Kind::ClientError, 4),
    (Kind::Gone, 1),
    (Kind::RetryAfter, 5),
    (Kind::ReceiverHung, 4),
    (Kind::ReceiverReset, 4),
    (Kind::ReceiverRefused, 3),
    (Kind::NameMisled, 2),
];

/// All receivers' spells.
pub(crate) struct Receivers {
    dice: Dice,
    bad_spells: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The present spell of each host, and when it ends.
    spells: BTreeMap<String, (Spell, i64)>,
    settled: bool,
}

impl Receivers {
    pub(crate) fn new(dice: Dice, bad_spells: u32) -> Self {
        Self { dice, bad_spells, state: Mutex::default() }
    }

    /// From now on receivers stay as they are: most of them well, some of them dead.
    pub(crate) fn settle(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settled = true;
        state.spells.clear();
    }

    /// From now on every receiver is well.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for spell in state.spells.values_mut() {
            *spell = (Spell::Healthy, i64::MAX);
        }
    }

    /// How the host meets a request now: the way in which it fails, if it does; and whether a bad spell has just begun.
    fn meet(&self, host: &str, now_ms: i64) -> (Option<Kind>, bool) {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = state.settled;
        let mut begun = false;
        let (spell, _) = *state
            .spells
            .entry(host.to_owned())
            .and_modify(|spell| {
                if spell.1 <= now_ms {
                    *spell = self.draw_spell(now_ms, settled);
                    begun = true;
                }
            })
            .or_insert_with(|| {
                begun = true;
                self.draw_spell(now_ms, settled)
            });
        let failure = match spell {
            Spell::Healthy => None,
            Spell::Flaky => self.dice.permille(500).then(|| self.dice.weighted(FAILURES)),
            Spell::Down(kind) => Some(kind),
        };
        (failure, begun && matches!(spell, Spell::Down(_)))
    }

    fn draw_spell(&self, now_ms: i64, settled: bool) -> (Spell, i64) {
        if settled {
            // Some are dead for good, where any fail at all.
            let dead = self.dice.permille(self.bad_spells / 4);
            return (if dead { Spell::Down(Kind::ServerError) } else { Spell::Healthy }, i64::MAX);
        }
        if !self.dice.permille(self.bad_spells) {
            return (Spell::Healthy, now_ms + self.dice.between(60_000, 3_600_000));
        }
        let minutes = *self.dice.pick(&[1, 10, 60, 300]);
        let spell = if self.dice.permille(400) { Spell::Flaky } else { Spell::Down(self.dice.weighted(FAILURES)) };
        (spell, now_ms + minutes * 60_000)
    }
}

/// What a receiver's name resolves to.
pub(crate) fn look_up(identity: &Identity, name: &str) -> io::Result<Vec<SocketAddr>> {
    let world = &identity.world;
    assert!(name.ends_with(DOMAIN), "{name} is no receiver's");
    let misled = world.receivers.is_misled(name, world.now_ms());
    if !misled {
        return Ok(vec![([203, 0, 114, 7], 0).into()]);
    }
    world.fault(Kind::NameMisled, Some(identity.invocation()), name);
    if world.dice.permille(300) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(vec![([203, 0, 114, 7], 0).into(), ([169, 254, 169, 254], 0).into()])
}

impl Receivers {
    /// Whether the host's name leads astray in its present spell.
    fn is_misled(&self, host: &str, now_ms: i64) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let spell = state.spells.get(host).filter(|(_, until_ms)| now_ms < *until_ms);
        matches!(spell, Some((Spell::Down(Kind::NameMisled), _)))
    }
}

/// Takes a request that has passed the guard.
pub(crate) async fn receive(identity: Arc<Identity>, request: Request) -> Result<Response, PostError> {
    identity.live_on().await;
    let world = &identity.world;
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let (failure, begun) = world.receivers.meet(&host, world.now_ms());
    if begun {
        world.fault(Kind::ReceiverDown, None, &host);
    }
    if let Some(kind) = failure {
        world.fault(kind, None, &host);
    }
    if failure == Some(Kind::ReceiverRefused) || failure == Some(Kind::NameMisled) {
        return Err(PostError::Connect);
    }
    let post = log(&identity, host, &request);
    let latency = Duration::from_millis(*world.receivers.dice.pick(&[5, 40, 300, 2_000]));
    if failure == Some(Kind::ReceiverHung) {
        sleep(Duration::from_secs(600)).await;
    }
    sleep(latency).await;
    identity.live_on().await;
    let (status, retry_after_s) = answer_of(world.receivers.dice_of(), failure);
    {
        let mut record = world.record();
        let post = &mut record.posts[post];
        (post.ended_ms, post.status, post.retry_after_s) = (Some(world.now_ms()), status, retry_after_s);
    }
    world.trace(|| format!("i{} answered {status:?}", identity.invocation()));
    if !world.is_calm() && world.dice.permille(world.plan.call_faults / 4) {
        world.fault(Kind::CrashAfterPost, Some(identity.invocation()), "");
        identity.kill();
        std::future::pending::<()>().await;
    }
    let Some(status) = status else { return Err(PostError::Closed) };
    let mut response = http::Response::builder().status(status);
    if let Some(seconds) = retry_after_s {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body("seen").expect("a response").into())
}

impl Receivers {
    fn dice_of(&self) -> &Dice {
        &self.dice
    }
}

fn answer_of(dice: &Dice, failure: Option<Kind>) -> (Option<u16>, Option<u64>) {
    match failure {
        None => (Some(*dice.pick(&[200, 202, 204])), None),
        Some(Kind::ClientError) => (Some(*dice.pick(&[301, 400, 404, 422])), None),
        Some(Kind::ServerError) => (Some(*dice.pick(&[500, 502, 504])), None),
        Some(Kind::Gone) => (Some(410), None),
        Some(Kind::RetryAfter) => (Some(*dice.pick(&[429, 503])), Some(*dice.pick(&[0, 90, 1_000, 100_000]))),
        Some(_) => (None, None),
    }
}

/// Logs a request as it arrives; gives its place in the log.
fn log(identity: &Identity, host: String, request: &Request) -> usize {
    let world = &identity.world;
    let body = request.body().and_then(reqwest::Body::as_bytes).map(Bytes::copy_from_slice).unwrap_or_default();
    let post = Post {
        at_ms: world.now_ms(),
        ended_ms: None,
        invocation: identity.invocation(),
        host,
        headers: request.headers().clone(),
        body,
        status: None,
        retry_after_s: None,
    };
    world.trace(|| format!("POST {} {} #{}", post.host, post.header("webhook-id"), post.header("x-webhook-attempt")));
    let mut record = world.record();
    record.posts.push(post);
    record.posts.len() - 1
}
