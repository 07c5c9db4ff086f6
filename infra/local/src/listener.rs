//! The API on this machine's network. What it answers to a request that changes something is on the disk, safe from a loss
//! of power, as it is in AWS.

use crate::embedded::EmbeddedAws;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    serve::{Listener, ListenerExt},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a client may take to send the headers of a request, of the next one on an idle connection too.
const HEADERS_WITHIN: Duration = Duration::from_secs(60);

/// Serves `router` until `stop`, then what is under way.
pub(crate) async fn serve(listener: TcpListener, router: Router, aws: EmbeddedAws, stop: CancellationToken) {
    let service = TowerToHyperService::new(router.layer(middleware::from_fn_with_state(aws, on_disk)));
    let mut listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    // `axum::serve` has no such bound: a client that says nothing would keep its connection for good.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    let open = GracefulShutdown::new();
    loop {
        let (connection, _) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let served = open.watch(http.serve_connection(TokioIo::new(connection), service.clone()));
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
    drop(listener);
    open.shutdown().await;
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
        net::TcpStream,
        time::Instant,
    };

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_go_on_is_cut_off_and_others_are_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (aws, stop) = (EmbeddedAws::open(None, Clock::system()).expect("in memory"), CancellationToken::new());
        let router = Router::new().route("/", axum::routing::get(async || "served"));
        let served = tokio::spawn(serve(listener, router, aws, stop.clone()));

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
}
