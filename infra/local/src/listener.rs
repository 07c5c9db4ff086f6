//! The HTTP listener of the API. It answers a request that changes something only after the change is on the disk, so that a
//! power cut cannot undo it. AWS gives the same guarantee.

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use embedded_aws::EmbeddedAws;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};
use telemetry::log::LogLimit;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

/// How long a client may take to send the headers of a request. This includes the wait for the next request on an idle
/// connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(60);

/// The wait after a connection could not be accepted. Descriptors become free as requests end.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// How long to wait for a connection that was asked to end, before the next one is asked.
const ENDS_WITHIN: Duration = Duration::from_millis(50);

/// A listener with a bound on its open connections. When the bound is reached, it asks the oldest connections to end after the
/// request under way, or at once if there is none. Until one has ended, new connections wait in the system's queue.
pub(crate) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    connections_max: usize,
    /// The tokens that ask the open connections to end, oldest first. Those of ended connections are removed from time to time.
    open: VecDeque<CancellationToken>,
    /// Limits how often the listener logs.
    log_limit: LogLimit,
}

/// An accepted connection.
struct Connection {
    stream: TcpStream,
    /// Asks the connection to end after the request under way. Also cancelled once the connection has ended.
    end: CancellationToken,
    permit: OwnedSemaphorePermit,
}

impl Bounded {
    /// Creates a listener that has at most `connections_max` connections open at once.
    pub(crate) fn new(listener: TcpListener, connections_max: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections_max));
        Self { listener, permits, connections_max, open: VecDeque::new(), log_limit: LogLimit::new() }
    }

    /// Waits for the next connection. `stop` also asks it to end. An error is logged and not returned, because the next attempt
    /// may succeed.
    async fn accept(&mut self, stop: &CancellationToken) -> Connection {
        let permit = self.permit().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY could not be set");
                    }
                    let end = stop.child_token();
                    if self.open.len() >= 2 * self.connections_max {
                        self.open.retain(|end| !end.is_cancelled());
                    }
                    self.open.push_back(end.clone());
                    return Connection { stream, end, permit };
                }
                Err(error) => {
                    if self.log_limit.allows() {
                        tracing::error!(%error, "a connection to the API could not be accepted");
                    }
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Stops accepting, and waits until all connections have ended.
    async fn ended(self) {
        let Self { listener, permits, connections_max, .. } = self;
        drop(listener);
        let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
        let _all = permits.acquire_many(all).await;
    }

    /// Waits until one more connection may be open.
    async fn permit(&mut self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return permit;
            }
            if self.log_limit.allows() {
                tracing::warn!("the API has as many connections as it may have: the oldest are closed, new ones wait");
            }
            self.open.retain(|end| !end.is_cancelled());
            if let Some(oldest) = self.open.pop_front() {
                oldest.cancel();
            }
            let freed = tokio::time::timeout(ENDS_WITHIN, Arc::clone(&self.permits).acquire_owned()).await;
            if let Ok(Ok(permit)) = freed {
                return permit;
            }
        }
    }
}

/// Serves `router` until `stop`, and then finishes the requests under way.
pub(crate) async fn serve(mut listener: Bounded, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    // `axum::serve` has no such timeout: a client that sends nothing would keep its connection forever.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    loop {
        let Connection { stream, end, permit } = tokio::select! {
            () = stop.cancelled() => break,
            connection = listener.accept(&stop) => connection,
        };
        let served = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let mut served = pin!(served);
            let ended = tokio::select! {
                ended = served.as_mut() => ended,
                () = end.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection failed");
            }
            end.cancel();
            drop(permit);
        });
    }
    listener.ended().await;
}

/// Returns `routes`, whose answers wait until what they changed is on the disk.
pub(crate) fn durable(routes: Router, aws: EmbeddedAws) -> Router {
    routes.layer(middleware::from_fn_with_state(aws, on_disk))
}

/// Holds back the answer to a request that changes something until the change is on the disk.
async fn on_disk(State(aws): State<EmbeddedAws>, request: Request, next: Next) -> Response {
    let changes_nothing = request.method().is_safe();
    let response = next.run(request).await;
    if changes_nothing {
        return response;
    }
    aws.flush().await.map_or_else(|error| api::failed(&error), |()| response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Clock;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::{Instant, timeout},
    };

    /// A router with one route.
    fn router() -> Router {
        let aws = EmbeddedAws::open(None, Clock::system()).expect("in memory");
        durable(Router::new().route("/", axum::routing::get(async || "served")), aws)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_sending_is_disconnected_and_others_are_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (router, stop) = (router(), CancellationToken::new());
        let served = tokio::spawn(serve(Bounded::new(listener, 10), router, stop.clone()));

        let start = Instant::now();
        for sent in ["", "GET / HTTP/1.1\r\nHost: slow"] {
            let mut client = TcpStream::connect(address).await.expect("a connection");
            client.write_all(sent.as_bytes()).await.expect("written");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("an end");
            assert!(!String::from_utf8_lossy(&answer).contains("served"));
        }
        assert!(start.elapsed() >= HEADERS_WITHIN, "a slow client gets its time");

        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"GET / HTTP/1.1\r\nHost: quick\r\nConnection: close\r\n\r\n").await.expect("written");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("served"), "{answer}");
        stop.cancel();
        served.await.expect("it ends");
    }

    /// A connection on which nothing was sent, or the request is answered, is closed for a new one.
    #[tokio::test]
    async fn the_oldest_connections_make_room_for_new_ones() {
        const CONNECTIONS_MAX: usize = 4;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (router, stop) = (router(), CancellationToken::new());
        let bounded = Bounded::new(listener, CONNECTIONS_MAX);
        let permits = Arc::clone(&bounded.permits);
        let served = tokio::spawn(serve(bounded, router, stop.clone()));

        let mut idle = Vec::new();
        for number in 0..CONNECTIONS_MAX * 5 {
            let mut client = TcpStream::connect(address).await.expect("a connection");
            if number % 2 == 0 {
                client.write_all(b"GET / HTTP/1.1\r\nHost: keeps-alive\r\n\r\n").await.expect("written");
                let answered = timeout(Duration::from_secs(10), client.read(&mut [0; 4096])).await;
                assert!(answered.expect("in time").expect("an answer") > 0);
            }
            idle.push(client);
        }
        assert!(permits.available_permits() < CONNECTIONS_MAX);
        stop.cancel();
        timeout(Duration::from_secs(10), served).await.expect("idle connections end at once").expect("it ends");
    }
}
