//! The load: registers webhooks, and publishes events in a burst or at a steady rate.

use crate::{
    http::{Answer, Connection, request},
    receiver::Arrival,
    stack::{Stack, TOKEN},
};
use anyhow::Context;
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// The text before an event's number in its payload.
pub(crate) const NUMBER_KEY: &str = "\"number\":";
/// Bytes of a delivered event.
const PAYLOAD_BYTES: usize = 1024;
/// Bytes of a delivered event without its object: id, type, time and punctuation.
const ENVELOPE_BYTES: usize = 142;
/// The type of every event.
pub(crate) const EVENT_TYPE: &str = "user.created";

/// When an event was sent, and how long its answer took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// When it was sent.
    pub(crate) at: Instant,
    /// The time until its 202.
    pub(crate) answered_in: Duration,
}

/// A client of one stack.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: std::net::SocketAddr,
    authorization: String,
}

impl Client {
    /// Creates a client of `stack`.
    pub(crate) fn of(stack: &Stack) -> Self {
        Self { address: stack.address(), authorization: format!("Bearer {TOKEN}") }
    }

    /// Creates a client of another server.
    pub(crate) fn at(address: std::net::SocketAddr, authorization: String) -> Self {
        Self { address, authorization }
    }

    /// Returns a request for `account`.
    pub(crate) fn request(&self, method: &str, path: &str, account: &str, body: &str) -> Vec<u8> {
        let headers = [("Authorization", self.authorization.as_str()), ("Hookline-Account", account)];
        request(method, path, &headers, body)
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.address).await
    }

    /// Registers webhooks at these URLs for every event of `account`.
    pub(crate) async fn register(&self, account: &str, urls: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        for url in urls {
            let body = json!({"url": url, "events": ["*"]}).to_string();
            let answer = connection.exchange(&self.request("POST", "/v1/webhooks", account, &body)).await?;
            expect(&answer, 201)?;
        }
        Ok(())
    }

    /// Returns the request that publishes the event `number` of `account`.
    pub(crate) fn publish(&self, account: &str, number: usize) -> Vec<u8> {
        let body = format!("{{\"type\":\"{EVENT_TYPE}\",\"data\":{{\"object\":{}}}}}", object(number));
        self.request("POST", "/v1/events", account, &body)
    }

    /// Returns the request that publishes a batch of `count` events, numbered from `first`.
    pub(crate) fn publish_batch(&self, account: &str, first: usize, count: usize) -> Vec<u8> {
        let event = |number| format!("{{\"type\":\"{EVENT_TYPE}\",\"data\":{{\"object\":{}}}}}", object(number));
        let events: Vec<_> = (first..first + count).map(event).collect();
        self.request("POST", "/v1/events/batch", account, &format!("{{\"events\":[{}]}}", events.join(",")))
    }

    /// Sends the requests that `make` returns for the numbers below `count`, over a number of
    /// connections, as fast as they are answered.
    pub(crate) async fn burst<F>(&self, connections: usize, count: usize, make: F) -> anyhow::Result<Vec<Sent>>
    where
        F: Fn(usize) -> Vec<u8> + Clone + Send + 'static,
    {
        let (next, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..connections {
            let (next, make, mut connection) = (Arc::clone(&next), make.clone(), self.connect().await?);
            tasks.spawn(async move {
                let mut sent = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(sent);
                    }
                    let (request, at) = (make(number), Instant::now());
                    expect(&connection.exchange(&request).await?, 202)?;
                    sent.push((number, Sent { at, answered_in: at.elapsed() }));
                }
            });
        }
        in_order(tasks).await
    }

    /// Sends `per_second` requests a second. It does not wait for answers, so that a server that
    /// stalls gets no fewer requests.
    pub(crate) async fn steady<F>(&self, count: usize, per_second: u32, make: F) -> anyhow::Result<Vec<Sent>>
    where
        F: Fn(usize) -> Vec<u8> + Clone + Send + 'static,
    {
        let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for number in 0..count {
            let at = began + Duration::from_secs(1) * number as u32 / per_second;
            tokio::time::sleep_until(at.into()).await;
            let (client, make, idle) = (self.clone(), make.clone(), Arc::clone(&idle));
            tasks.spawn(async move {
                let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut connection = match kept {
                    Some(connection) => connection,
                    None => client.connect().await?,
                };
                // Not the planned time: the server is not to blame for a late timer.
                let at = Instant::now();
                expect(&connection.exchange(&make(number)).await?, 202)?;
                let sent = Sent { at, answered_in: at.elapsed() };
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                Ok(vec![(number, sent)])
            });
        }
        in_order(tasks).await
    }
}

/// Collects what the tasks sent, in the order of the numbers.
async fn in_order(mut tasks: JoinSet<anyhow::Result<Vec<(usize, Sent)>>>) -> anyhow::Result<Vec<Sent>> {
    let mut all = Vec::new();
    while let Some(sent) = tasks.join_next().await {
        all.extend(sent.context("a load task panicked")??);
    }
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, sent)| sent).collect())
}

/// Returns the object of the event `number`, padded to the size of the payload without its envelope.
fn object(number: usize) -> String {
    padded(number, PAYLOAD_BYTES - ENVELOPE_BYTES)
}

/// Returns the whole body of a delivery of the event `number`, for a server that adds no envelope.
pub(crate) fn payload(number: usize) -> String {
    padded(number, PAYLOAD_BYTES)
}

/// Returns an object with the number, padded to `bytes`.
fn padded(number: usize, bytes: usize) -> String {
    let fields = format!("{NUMBER_KEY}{number},\"pad\":\"\"");
    let pad = bytes.saturating_sub(fields.len() + 2);
    format!("{{{NUMBER_KEY}{number},\"pad\":\"{}\"}}", "x".repeat(pad))
}

/// Fails unless the answer has this status.
pub(crate) fn expect(answer: &Answer, status: u16) -> anyhow::Result<()> {
    anyhow::ensure!(answer.status == status, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(())
}

/// Returns the time from sending each event to its answer.
pub(crate) fn answer_times(sent: &[Sent]) -> Vec<Duration> {
    sent.iter().map(|sent| sent.answered_in).collect()
}

/// Returns the time from sending each event to each of its arrivals.
pub(crate) fn arrival_times(sent: &[Sent], arrivals: &[Arrival]) -> Vec<Duration> {
    let time = |arrival: &Arrival| Some(arrival.at.saturating_duration_since(sent.get(arrival.number)?.at));
    arrivals.iter().filter_map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_size_of_a_delivery() {
        assert_eq!((payload(7).len(), payload(123_456).len()), (PAYLOAD_BYTES, PAYLOAD_BYTES));
        assert!(payload(7).starts_with("{\"number\":7,\"pad\":\"xxx"));
    }
}
