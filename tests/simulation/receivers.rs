//! The receivers, one for each host in the webhooks' URLs. A receiver goes through healthy and bad
//! phases. It records every request that reaches it, whatever it answers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::delivery::AttemptError;
use http::HeaderMap;
use reqwest::{Request, Response};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::dice::Dice;
use crate::faults::Kind;
use crate::processes::Caller;
use crate::world::World;

/// The domain of all receivers' hosts.
pub(crate) const DOMAIN: &str = "receiver.example";

/// A request that reached a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) at_ms: i64,
    pub(crate) invocation: u64,
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The status of the answer; `None` if there was no answer.
    pub(crate) status: Option<u16>,
    /// The `Retry-After` of the answer, in seconds.
    pub(crate) retry_after_s: Option<u64>,
}

impl Post {
    /// Returns a header, or an empty string if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the receiver answered 2xx.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }
}

/// How a receiver behaves for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Healthy,
    /// Half of the requests fail, each in its own way.
    Flaky,
    /// Every request fails in this way.
    Down(Kind),
}

/// The ways in which a request fails, and the weight of each.
const FAILURES: &[(Kind, u32)] = &[
    (Kind::ServerError, 10),
    (Kind::ClientError, 4),
    (Kind::Gone, 1),
    (Kind::RetryAfter, 5),
    (Kind::ReceiverHung, 4),
    (Kind::ReceiverReset, 4),
    (Kind::ReceiverRefused, 3),
    (Kind::BadAddress, 2),
];

/// The phases of all receivers.
pub(crate) struct Receivers {
    dice: Dice,
    bad_phases: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The present phase of each host, and when it ends.
    phases: BTreeMap<String, (Phase, i64)>,
    /// Whether new phases last forever.
    is_stable: bool,
}

impl Receivers {
    pub(crate) fn new(dice: Dice, bad_phases: u32) -> Self {
        Self { dice, bad_phases, state: Mutex::default() }
    }

    /// Begins a last phase for each receiver. Most receivers are healthy in it, and some answer
    /// only errors.
    pub(crate) fn stop_changing(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_stable = true;
        state.phases.clear();
    }

    /// Makes every receiver healthy for good.
    pub(crate) fn become_healthy(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for phase in state.phases.values_mut() {
            *phase = (Phase::Healthy, i64::MAX);
        }
    }

    /// Draws how a request to the host fails, if it does. Also returns whether the host has just
    /// gone down.
    fn draw_failure(&self, host: &str, now_ms: i64) -> (Option<Kind>, bool) {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stable = state.is_stable;
        let mut begun = false;
        let (phase, _) = *state
            .phases
            .entry(host.to_owned())
            .and_modify(|phase| {
                if phase.1 <= now_ms {
                    *phase = self.draw_phase(now_ms, is_stable);
                    begun = true;
                }
            })
            .or_insert_with(|| {
                begun = true;
                self.draw_phase(now_ms, is_stable)
            });
        let failure = match phase {
            Phase::Healthy => None,
            Phase::Flaky => self.dice.permille(500).then(|| self.dice.weighted(FAILURES)),
            Phase::Down(kind) => Some(kind),
        };
        (failure, begun && matches!(phase, Phase::Down(_)))
    }

    /// Draws a phase, and when it ends.
    fn draw_phase(&self, now_ms: i64, is_stable: bool) -> (Phase, i64) {
        if is_stable {
            // Some stay down for good, if the plan has bad phases at all.
            let is_down = self.dice.permille(self.bad_phases / 4);
            return (if is_down { Phase::Down(Kind::ServerError) } else { Phase::Healthy }, i64::MAX);
        }
        if !self.dice.permille(self.bad_phases) {
            return (Phase::Healthy, now_ms + self.dice.between(60_000, 3_600_000));
        }
        let minutes = *self.dice.pick(&[1, 10, 60, 300]);
        let phase = if self.dice.permille(400) { Phase::Flaky } else { Phase::Down(self.dice.weighted(FAILURES)) };
        (phase, now_ms + minutes * 60_000)
    }
}

/// Resolves the name of a receiver.
pub(crate) fn resolve(caller: &Caller, name: &str) -> io::Result<Vec<SocketAddr>> {
    let world = &caller.world;
    assert!(name.ends_with(DOMAIN), "{name} is not the host of a receiver");
    if !world.receivers.has_bad_address(name, world.now_ms()) {
        return Ok(vec![([203, 0, 114, 7], 0).into()]);
    }
    world.record_fault(Kind::BadAddress, Some(caller.invocation()), name);
    if world.dice.permille(300) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(vec![([203, 0, 114, 7], 0).into(), ([169, 254, 169, 254], 0).into()])
}

impl Receivers {
    /// Whether the host's name has no address, or a forbidden one, in its present phase.
    fn has_bad_address(&self, host: &str, now_ms: i64) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let phase = state.phases.get(host).filter(|(_, until_ms)| now_ms < *until_ms);
        matches!(phase, Some((Phase::Down(Kind::BadAddress), _)))
    }
}

/// Answers a request that has passed the endpoint policy.
pub(crate) async fn receive(caller: Arc<Caller>, request: Request) -> Result<Response, AttemptError> {
    caller.stop_if_killed().await;
    let world = &caller.world;
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let (failure, is_newly_down) = world.receivers.draw_failure(&host, world.now_ms());
    if is_newly_down {
        world.record_fault(Kind::ReceiverDown, None, &host);
    }
    if let Some(kind) = failure {
        world.record_fault(kind, None, &host);
    }
    if failure == Some(Kind::ReceiverRefused) || failure == Some(Kind::BadAddress) {
        return Err(AttemptError::Connect);
    }
    if host == TOKEN_SERVER {
        return give_token(world, failure, &request).await;
    }
    let index = record_post(&caller, host, &request);
    let latency = Duration::from_millis(*world.receivers.dice.pick(&[5, 40, 300, 2_000]));
    if failure == Some(Kind::ReceiverHung) {
        sleep(Duration::from_secs(600)).await;
    }
    sleep(latency).await;
    caller.stop_if_killed().await;
    let (status, retry_after_s) = match failure {
        None if world.has_invalid_token(&request) => (Some(401), None),
        _ => draw_answer(&world.receivers.dice, failure),
    };
    {
        let mut record = world.record();
        let post = &mut record.posts[index];
        (post.status, post.retry_after_s) = (status, retry_after_s);
    }
    world.trace(|| format!("i{} answered {status:?}", caller.invocation()));
    if world.injects_faults() && world.dice.permille(world.plan.call_faults / 4) {
        world.record_fault(Kind::CrashAfterPost, Some(caller.invocation()), "");
        caller.kill();
        std::future::pending::<()>().await;
    }
    let Some(status) = status else { return Err(AttemptError::Closed) };
    let mut response = http::Response::builder().status(status);
    if let Some(seconds) = retry_after_s {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body("seen").expect("a response").into())
}

/// The host of the OAuth 2 server of all accounts. Each account is a client whose id is its name.
pub(crate) const TOKEN_SERVER: &str = "auth.receiver.example";

/// An access token that the server has given.
#[derive(Clone, Debug)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    /// The value of `Authorization` in the request for the token.
    pub(crate) client: String,
    /// When receivers stop taking it. The answer may promise more.
    pub(crate) until_ms: i64,
}

/// Answers a request for an access token.
async fn give_token(world: &World, failure: Option<Kind>, request: &Request) -> Result<Response, AttemptError> {
    let dice = &world.receivers.dice;
    if failure == Some(Kind::ReceiverHung) {
        sleep(Duration::from_secs(600)).await;
    }
    sleep(Duration::from_millis(*dice.pick(&[5, 300, 2_000]))).await;
    let (Some(status), _) = draw_answer(dice, failure) else { return Err(AttemptError::Closed) };
    let mut response = http::Response::builder().status(status);
    let mut body = json!({"error": "temporarily_unavailable"});
    if status < 300 {
        response = response.status(200);
        let (lasts_s, promised) = dice
            .pick(&[(3600, json!(3600)), (60, json!(60)), (60, json!(1e30)), (600, json!(-1)), (600, Value::Null)])
            .clone();
        let client = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut record = world.record();
        let token = format!("token-{}", record.tokens.len());
        body = json!({"access_token": token, "token_type": "Bearer", "expires_in": promised});
        record.tokens.push(IssuedToken { token, client: client.to_owned(), until_ms: world.now_ms() + lasts_s * 1000 });
    }
    world.trace(|| format!("the token server answered {status}"));
    Ok(response.body(body.to_string()).expect("a response").into())
}

impl World {
    /// Whether the request carries an access token that is not, or no longer, valid.
    fn has_invalid_token(&self, request: &Request) -> bool {
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let Some(token) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
        let record = self.record();
        !record.tokens.iter().any(|issued| issued.token == token && self.now_ms() < issued.until_ms)
    }
}

/// Draws the status of an answer and its `Retry-After` in seconds.
fn draw_answer(dice: &Dice, failure: Option<Kind>) -> (Option<u16>, Option<u64>) {
    match failure {
        None => (Some(*dice.pick(&[200, 202, 204])), None),
        Some(Kind::ClientError) => (Some(*dice.pick(&[301, 400, 404, 422])), None),
        Some(Kind::ServerError) => (Some(*dice.pick(&[500, 502, 504])), None),
        Some(Kind::Gone) => (Some(410), None),
        Some(Kind::RetryAfter) => (Some(*dice.pick(&[429, 503])), Some(*dice.pick(&[0, 90, 1_000, 100_000]))),
        Some(_) => (None, None),
    }
}

/// Records a request that arrives. Returns its index in the record.
fn record_post(caller: &Caller, host: String, request: &Request) -> usize {
    let world = &caller.world;
    let body = request.body().and_then(reqwest::Body::as_bytes).map(Bytes::copy_from_slice).unwrap_or_default();
    let post = Post {
        at_ms: world.now_ms(),
        invocation: caller.invocation(),
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
