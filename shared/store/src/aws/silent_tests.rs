//! Tests of the real SDK, over loopback, against an AWS that accepts connections and does not answer.

use super::{ATTEMPT_TIMEOUT, OPERATION_TIMEOUT, http_client::OneHttpClient, timeouts};
use crate::{Store, TableSettings, webhooks};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use domain::{random::Random, time::Clock};
use futures::future::join_all;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(1);
/// DynamoDB's answer to a `GetItem` that finds nothing.
const NOTHING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";

/// Starts a DynamoDB on loopback. `answers` returns how many requests it answers over the connection of a number, from 1.
/// Returns the address and the count of connections.
async fn dynamodb(answers: impl Fn(usize) -> usize + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answers = answers(counter.fetch_add(1, Ordering::SeqCst) + 1);
            tokio::spawn(async move {
                let mut request = [0; 16 * 1024];
                let mut requests = 0;
                // The requests of these tests arrive in one piece.
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    requests += 1;
                    if requests <= answers {
                        stream.write_all(NOTHING).await.expect("an answer");
                    }
                }
            });
        }
    });
    (address, connections)
}

/// Returns the store of a function whose AWS is at `address`.
fn store(address: SocketAddr) -> Store {
    let aws = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .timeout_config(timeouts())
        .http_client(OneHttpClient::new(None).expect("a client"))
        .endpoint_url(format!("http://{address}"))
        .build();
    let table = || "table".to_owned();
    let settings = TableSettings {
        webhooks: table(),
        events: table(),
        deliveries: table(),
        retention: Duration::from_secs(60),
        webhooks_max: 1,
    };
    Store::new(aws_sdk_dynamodb::Client::new(&aws), settings, Clock::system(), Random::system())
}

#[tokio::test]
async fn warming_ends_in_time_without_an_answer() {
    let (address, _) = dynamodb(|_| 0).await;
    let started = Instant::now();
    webhooks::warm(&store(address)).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_call_that_is_never_answered_ends_in_time() {
    let (address, _) = dynamodb(|_| 0).await;
    let started = Instant::now();
    webhooks::touch(&store(address)).await.expect_err("no answer came");
    assert!(started.elapsed() < OPERATION_TIMEOUT + SLACK, "{:?}", started.elapsed());
    assert!(started.elapsed() > ATTEMPT_TIMEOUT, "it was tried again");
}

#[tokio::test]
async fn connections_are_reused() {
    let (address, connections) = dynamodb(|_| usize::MAX).await;
    let store = store(address);
    for _ in 0..3 {
        webhooks::touch(&store).await.expect("an answer");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// The connections are dead, as after Lambda has had a process frozen.
#[tokio::test]
async fn dead_idle_connections_cost_one_attempt_however_many_there_are() {
    const IDLE: usize = 8;
    let (address, connections) = dynamodb(|number| if number <= IDLE { 1 } else { usize::MAX }).await;
    let store = store(address);
    for warmed in join_all((0..IDLE).map(|_| webhooks::touch(&store))).await {
        warmed.expect("an answer");
    }
    let before = connections.load(Ordering::SeqCst);
    let started = Instant::now();
    webhooks::touch(&store).await.expect("an answer, by the second attempt");
    // The SDK waits up to a second before the second attempt.
    assert!(started.elapsed() < ATTEMPT_TIMEOUT + Duration::from_secs(1) + SLACK, "{:?}", started.elapsed());
    assert!(connections.load(Ordering::SeqCst) > before, "the second attempt had a new connection");
}
