//! Receivers that log when each event arrived, and answer as they are configured.

use crate::http::Connection;
use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers with this status and no body.
    Answer(u16),
    /// Answers the first request of each event and webhook with 500, and 200 afterwards.
    FailOnce,
    /// Never answers.
    Hang,
}

/// A request that arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When its last byte arrived.
    pub(crate) at: Instant,
    /// The number of its webhook, from the path.
    pub(crate) webhook: usize,
    /// The number of its event, from the body.
    pub(crate) number: usize,
}

#[derive(Debug, Default)]
struct Log {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    arrivals: Vec<Arrival>,
    /// The webhook and the event of each delivery that has arrived at least once.
    pairs: HashSet<(usize, usize)>,
}

/// A listening receiver. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port.
    pub(crate) async fn start(behaviour: Behaviour) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, log) = (listener.local_addr()?, Arc::<Log>::default());
        let shared = Arc::clone(&log);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = serve(stream, behaviour, Arc::clone(&shared));
                // An error means that the sender closed the connection, which it may.
                tokio::spawn(async move { served.await.ok() });
            }
        });
        Ok(Self { address, log, task })
    }

    /// Returns the URL of the webhook `number`.
    pub(crate) fn url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }

    /// Waits for `count` different deliveries, and returns all arrivals.
    ///
    /// # Errors
    /// Fails if they have not arrived within `limit`.
    pub(crate) async fn wait_for(&self, count: usize, limit: Duration) -> anyhow::Result<Vec<Arrival>> {
        self.wait_until(|seen| seen.pairs.len() >= count, count, limit).await
    }

    /// Waits for `count` requests, repeated ones included, and returns all arrivals.
    ///
    /// # Errors
    /// Fails if they have not arrived within `limit`.
    pub(crate) async fn wait_for_requests(&self, count: usize, limit: Duration) -> anyhow::Result<Vec<Arrival>> {
        self.wait_until(|seen| seen.arrivals.len() >= count, count, limit).await
    }

    async fn wait_until(
        &self,
        done: impl Fn(&Seen) -> bool,
        count: usize,
        limit: Duration,
    ) -> anyhow::Result<Vec<Arrival>> {
        let all = async {
            loop {
                let changed = self.log.changed.notified();
                let arrivals = Some(self.log.lock()).filter(|seen| done(seen)).map(|seen| seen.arrivals.clone());
                if let Some(arrivals) = arrivals {
                    return arrivals;
                }
                changed.await;
            }
        };
        let arrived = tokio::time::timeout(limit, all).await;
        arrived.map_err(|_| {
            anyhow::anyhow!("waited {limit:?} for {count} requests; {} arrived", self.log.lock().arrivals.len())
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Log {
    /// Logs an arrival, and returns whether it is the first of its delivery.
    fn add(&self, arrival: Arrival) -> bool {
        let is_first = {
            let mut seen = self.lock();
            seen.arrivals.push(arrival);
            seen.pairs.insert((arrival.webhook, arrival.number))
        };
        self.changed.notify_waiters();
        is_first
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(stream: TcpStream, behaviour: Behaviour, log: Arc<Log>) -> std::io::Result<()> {
    let mut connection = Connection::of(stream);
    while let Some((head, body)) = connection.read().await? {
        let at = Instant::now();
        let path = head.first_line.split(' ').nth(1).unwrap_or_default();
        let webhook = path.trim_start_matches('/').parse().unwrap_or_default();
        let arrival = Arrival { at, webhook, number: number_in(&body).unwrap_or_default() };
        let is_first = log.add(arrival);
        let status = match behaviour {
            Behaviour::Answer(status) => Some(status),
            Behaviour::FailOnce => Some(if is_first { 500 } else { 200 }),
            Behaviour::Hang => None,
        };
        if let Some(status) = status {
            connection.write(format!("HTTP/1.1 {status} Bench\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
        }
    }
    Ok(())
}

/// Returns the number that the load gave the event.
fn number_in(body: &[u8]) -> Option<usize> {
    let key = crate::load::NUMBER_KEY.as_bytes();
    let digits = &body[body.windows(key.len()).position(|window| window == key)? + key.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
