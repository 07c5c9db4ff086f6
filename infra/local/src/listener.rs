//! The API on this machine's network. What it answers to a request that changes something is on the disk, safe from a loss
//! of power, as it is in AWS.

use crate::embedded::EmbeddedAws;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use hookline::log::Seldom;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

/// How long a client may take to send the headers of a request, of the next one on an idle connection too.
const HEADERS_WITHIN: Duration = Duration::from_secs(60);

/// Wait before accepting goes on where it failed: descriptors come free as requests end.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// How long a connection that was asked to end may take before the next one is asked.
const ENDS_WITHIN: Duration = Duration::from_millis(50);

/// A listener with a bound on its open connections. Where it is reached, the oldest ones are asked to end after the request
/// that is under way, at once if none is; until one has ended, new ones wait in the system's queue.
pub(crate) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    connections_max: usize,
    /// Asks each open connection to end, the oldest first; those that have ended are dropped now and then.
    open: VecDeque<CancellationToken>,
    told: Seldom,
}

/// An accepted connection.
struct Connection {
    stream: TcpStream,
    /// Tells it to end after the request that is under way; cancelled also where it has ended.
    end: CancellationToken,
    permit: OwnedSemaphorePermit,
}

impl Bounded {
    /// Accepts from `listener`, with at most `connections_max` open at once.
    pub(crate) fn new(listener: TcpListener, connections_max: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections_max));
        Self { listener, permits, connections_max, open: VecDeque::new(), told: Seldom::new() }
    }

    /// The next connection, which is also told to end by `stop`. An error is logged and not given back: the next one may be accepted.
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
                    if self.told.now() {
                        tracing::error!(%error, "a connection to the API could not be accepted");
                    }
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Accepts nothing more, and waits until all connections have ended.
    async fn ended(self) {
        let Self { listener, permits, connections_max, .. } = self;
        drop(listener);
        let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
        let _all = permits.acquire_many(all).await;
    }

    async fn permit(&mut self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return permit;
            }
            if self.told.now() {
                tracing::warn!("the bound on connections to the API is reached: the oldest are closed, new ones wait");
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

/// Serves `router` until `stop`, then what is under way.
pub(crate) async fn serve(mut listener: Bounded, router: Router, aws: EmbeddedAws, stop: CancellationToken) {
    let service = TowerToHyperService::new(router.layer(middleware::from_fn_with_state(aws, on_disk)));
    // `axum::serve` has no such bound: a client that says nothing would keep its connection for good.
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
                tracing::debug!(%error, "a connection broke off");
            }
            end.cancel();
            drop(permit);
        });
    }
    listener.ended().await;
}

/// Lets an answer go out only after what it promises is on the disk.
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
    use hookline::time::Clock;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::{Instant, timeout},
    };

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_go_on_is_cut_off_and_others_are_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (aws, stop) = (EmbeddedAws::open(None, Clock::system()).expect("in memory"), CancellationToken::new());
        let router = Router::new().route("/", axum::routing::get(async || "served"));
        let served = tokio::spawn(serve(Bounded::new(listener, 10), router, aws, stop.clone()));

        let start = Instant::now();
        for sent in ["", "GET / HTTP/1.1\r\nHost: slow"] {
            let mut client = TcpStream::connect(address).await.expect("a connection");
            client.write_all(sent.as_bytes()).await.expect("written");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("an end");
            assert!(!String::from_utf8_lossy(&answer).contains("served"));
        }
        assert!(start.elapsed() >= HEADERS_WITHIN, "a slow client is given its time");

        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"GET / HTTP/1.1\r\nHost: quick\r\nConnection: close\r\n\r\n").await.expect("written");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("served"), "{answer}");
        stop.cancel();
        served.await.expect("it ends");
    }
    /// A client that keeps its connection open and says nothing, or has had its answer, makes room for the next one.
    #[tokio::test]
    async fn the_oldest_connections_make_room_for_new_ones() {
        const CONNECTIONS_MAX: usize = 4;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (aws, stop) = (EmbeddedAws::open(None, Clock::system()).expect("in memory"), CancellationToken::new());
        let router = Router::new().route("/", axum::routing::get(async || "served"));
        let bounded = Bounded::new(listener, CONNECTIONS_MAX);
        let permits = Arc::clone(&bounded.permits);
        let served = tokio::spawn(serve(bounded, router, aws, stop.clone()));

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
        timeout(Duration::from_secs(10), served).await.expect("idle connections do not hold it up").expect("it ends");
    }
}
