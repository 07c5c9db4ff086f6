//! The client against hostile receivers, over real connections on loopback.

use super::{
    Answer, EndpointClient, RetryAfter,
    receiver::{Receiver, read_request},
    resolver::GuardedResolver,
};
use bytes::Bytes;
use domain::{
    delivery::AttemptError,
    endpoint_policy::{
        EndpointPolicy::{self, AllowLoopback, Strict},
        EndpointUrl,
    },
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The timeout for answers that are expected.
const AMPLE: Duration = Duration::from_secs(10);
/// The timeout where no answer is expected.
const SHORT: Duration = Duration::from_millis(200);

fn client(policy: EndpointPolicy) -> EndpointClient {
    EndpointClient::new(policy).expect("a client")
}

/// Returns a client that gets the addresses of names from `script`.
fn scripted(
    policy: EndpointPolicy,
    script: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> EndpointClient {
    EndpointClient::with(policy, GuardedResolver::scripted(policy, script), None).expect("a client")
}

fn url(text: impl Into<String>) -> EndpointUrl {
    EndpointUrl::stored(text).expect("a URL")
}

async fn post_within(client: &EndpointClient, to: &str, timeout: Duration) -> Answer {
    client.post(&url(to), HeaderMap::new(), Bytes::from_static(b"{\"a\":1}"), timeout).await
}

/// Posts to a receiver that answers with these bytes, and returns the client's answer.
async fn answer_to(bytes: impl Into<Vec<u8>>) -> Answer {
    let receiver = Receiver::answering(bytes).await;
    post_within(&client(AllowLoopback), &format!("http://{}/hook", receiver.address), AMPLE).await
}

fn failed(error: AttemptError) -> Answer {
    Answer { error: Some(error), ..Answer::default() }
}

#[tokio::test]
async fn sends_the_body_and_the_callers_headers_and_adds_three() {
    let receiver = Receiver::start(|_, mut stream| async move {
        let request = read_request(&mut stream).await.unwrap_or_default();
        let answer = format!("HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n\r\n{request}", request.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("webhook-id"), HeaderValue::from_static("evt_1"));
    let target = url(format!("http://{}/hook?a=b", receiver.address));
    let answer = client(AllowLoopback).post(&target, headers, Bytes::from_static(b"{\"a\":1}"), AMPLE).await;
    let expected = format!(
        "POST /hook?a=b HTTP/1.1\nwebhook-id: evt_1\naccept: */*\nhost: {}\ncontent-length: 7\n\n{{\"a\":1}}",
        receiver.address
    );
    assert_eq!(answer, Answer { status: Some(202), body_excerpt: Some(expected), ..Answer::default() });
}

#[tokio::test]
async fn a_hanging_receiver_times_out() {
    let receiver =
        Receiver::start(|_, mut stream| async move { while read_request(&mut stream).await.is_some() {} }).await;
    let started = Instant::now();
    let answer = post_within(&client(AllowLoopback), &format!("http://{}/", receiver.address), SHORT).await;
    assert_eq!(answer, failed(AttemptError::Timeout));
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_hanging_tls_handshake_times_out() {
    let receiver = Receiver::start(|_, mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let answer = post_within(&client(AllowLoopback), &format!("https://{}/", receiver.address), SHORT).await;
    assert_eq!(answer, failed(AttemptError::Timeout));
}

#[tokio::test]
async fn slow_headers_time_out() {
    let receiver = Receiver::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let mut answer: &[u8] = b"HTTP/1.1 200 OK\r\nx: ";
        while stream.write_all(answer).await.is_ok() {
            answer = b"y";
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let answer = post_within(&client(AllowLoopback), &format!("http://{}/", receiver.address), SHORT).await;
    assert_eq!(answer, failed(AttemptError::Timeout));
}

#[tokio::test]
async fn a_slow_body_times_out_and_its_beginning_is_kept() {
    let receiver = Receiver::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let head: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut answer = head.to_vec();
        while stream.write_all(&answer).await.is_ok() {
            answer = b"1\r\ny\r\n".to_vec();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let answer = post_within(&client(AllowLoopback), &format!("http://{}/", receiver.address), SHORT).await;
    assert_eq!((answer.status, answer.error), (Some(503), Some(AttemptError::Timeout)));
    assert_eq!(answer.retry_after, Some(RetryAfter::Seconds(7)));
    assert!(answer.body_excerpt.is_some_and(|body| body.starts_with("yy")));
}

#[tokio::test]
async fn an_endless_body_is_cut_and_only_the_status_counts() {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let receiver = Receiver::start(move |_, mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {
                counter.fetch_add(4096, Ordering::SeqCst);
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let answer = post_within(&client(AllowLoopback), &format!("http://{}/", receiver.address), AMPLE).await;
    assert_eq!(answer, Answer { status: Some(200), body_excerpt: Some("x".repeat(1024)), ..Answer::default() });
    // The count becomes odd when a write of the receiver fails.
    let dropped = async {
        while written.load(Ordering::SeqCst).is_multiple_of(2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, dropped).await.expect("the connection is dropped");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let receiver = Receiver::start(|_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            let _ = stream
                .write_all(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    })
    .await;
    let requests = post_within(&client(AllowLoopback), &format!("http://{}/", receiver.address), AMPLE).await;
    assert_eq!(requests, Answer { status: Some(307), ..Answer::default() });
    for status in [301, 302, 303, 307, 308] {
        let answer = answer_to(format!("HTTP/1.1 {status} X\r\nlocation: http://169.254.169.254/\r\n\r\n")).await;
        assert_eq!(answer, Answer { status: Some(status), ..Answer::default() });
    }
}

#[tokio::test]
async fn an_incomplete_or_invalid_answer_is_an_error() {
    let long_line = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'y'; 1 << 20], b"\r\n\r\n"].concat();
    let long_status = [b"HTTP/1.1 200 ".as_slice(), &vec![b'O'; 1 << 20], b"\r\n\r\n"].concat();
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(5000)).into_bytes();
    for (bytes, status, error) in [
        (b"".as_slice(), None, AttemptError::Closed),
        (b"HTTP/1.1 200 OK\r\nx: y", None, AttemptError::Closed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", Some(200), AttemptError::Closed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", Some(200), AttemptError::Closed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n", Some(200), AttemptError::Protocol),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None, AttemptError::Protocol),
        (b"HTTP/1.1 999999 OK\r\n\r\n", None, AttemptError::Protocol),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", None, AttemptError::Protocol),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", None, AttemptError::Protocol),
        (b"HTTP/1.1 200 OK\r\nx\0: y\r\n\r\n", None, AttemptError::Protocol),
        (b"HTTP/1.1 2\xff0 OK\r\n\r\n", None, AttemptError::Protocol),
        (b"HTTP/9.9 200 OK\r\n\r\n", None, AttemptError::Protocol),
        (b"HTTP/1.1 099 OK\r\n\r\n", None, AttemptError::Protocol),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", None, AttemptError::Protocol),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nab", None, AttemptError::Protocol),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nab",
            Some(200),
            AttemptError::Closed,
        ),
        (&long_status, None, AttemptError::Protocol),
        (&long_line, None, AttemptError::Protocol),
        (&many_headers, None, AttemptError::Protocol),
    ] {
        let answer = answer_to(bytes).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]);
        assert_eq!((answer.status, answer.error), (status, Some(error)), "{shown:?}");
    }
}

#[tokio::test]
async fn an_unusual_but_complete_answer_is_no_error() {
    for (bytes, status) in [
        // Header bytes that are not UTF-8 do no harm.
        (b"HTTP/1.1 200 OK\r\nx-odd: \xff\xfe\x80\r\ncontent-length: 0\r\n\r\n".as_slice(), 200),
        (b"HTTP/1.1 503 X\r\nretry-after: \xff\r\ncontent-length: 0\r\n\r\n", 503),
        (b"HTTP/1.1 200 \xff\xfe\r\ncontent-length: 0\r\n\r\n", 200),
        (b"HTTP/1.0 200 OK\r\n\r\n", 200),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", 204),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304),
        (b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n", 999),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 101),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more than was said", 200),
    ] {
        let answer = answer_to(bytes).await;
        assert_eq!((answer.status, answer.error), (Some(status), None), "{:?}", String::from_utf8_lossy(bytes));
    }
}

/// Bytes that a receiver sends after its answer must not become the answer to the next request.
#[tokio::test]
async fn an_answer_sent_before_its_request_is_ignored() {
    let receiver = Receiver::start(|_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            let first = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n".as_slice();
            let ahead = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".as_slice();
            let _ = stream.write_all(&[first, ahead, ahead].concat()).await;
        }
    })
    .await;
    let (client, to) = (client(AllowLoopback), format!("http://{}/", receiver.address));
    for _ in 0..20 {
        assert_eq!(post_within(&client, &to, AMPLE).await.status, Some(500));
    }
}

#[tokio::test]
async fn a_reset_after_the_headers_is_an_error() {
    let receiver = Receiver::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.set_zero_linger().expect("a socket option");
    })
    .await;
    let answer = post_within(&client(AllowLoopback), &format!("http://{}/", receiver.address), AMPLE).await;
    assert_eq!(answer.status, Some(200));
    assert_eq!(answer.error, Some(AttemptError::Closed));
    assert_eq!(answer.body_excerpt.as_deref(), Some("ab"));
}

#[tokio::test]
async fn interim_answers_are_skipped_and_a_flood_of_them_times_out() {
    let few = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(20);
    let answer = answer_to(few + "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(answer, Answer { status: Some(204), ..Answer::default() });

    let receiver = Receiver::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let flood = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
        while stream.write_all(flood.as_bytes()).await.is_ok() {}
    })
    .await;
    let started = Instant::now();
    let answer = post_within(&client(AllowLoopback), &format!("http://{}/", receiver.address), SHORT).await;
    assert_eq!(answer, failed(AttemptError::Timeout));
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
}

#[tokio::test]
async fn compressed_bodies_are_not_decompressed() {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", gzip.len());
    let answer = answer_to([head.as_bytes(), gzip].concat()).await;
    assert_eq!((answer.status, answer.error), (Some(200), None));
    assert!(answer.body_excerpt.is_some_and(|body| body.starts_with("\u{fffd}\u{fffd}\u{fffd}")));
}

#[tokio::test]
async fn a_repeated_or_invalid_retry_after_is_ignored() {
    for (header, expected) in [
        ("retry-after: 30\r\n", Some(RetryAfter::Seconds(30))),
        ("retry-after: -30\r\n", None),
        ("retry-after: 99999999999999999999\r\n", Some(RetryAfter::Seconds(u64::MAX))),
        ("retry-after: 30\r\nretry-after: 30\r\n", None),
        ("", None),
    ] {
        let answer = answer_to(format!("HTTP/1.1 429 X\r\n{header}content-length: 0\r\n\r\n")).await;
        assert_eq!(answer, Answer { status: Some(429), retry_after: expected, ..Answer::default() }, "{header}");
    }
}

#[tokio::test]
async fn connections_are_reused() {
    let receiver = Receiver::start(|_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let (client, to) = (client(AllowLoopback), format!("http://{}/", receiver.address));
    for _ in 0..5 {
        assert_eq!(post_within(&client, &to, AMPLE).await.status, Some(200));
    }
    assert_eq!(receiver.connections(), 1);
}

/// The receiver closes the connection after each answer without a `connection: close`. The next request uses a new one.
#[tokio::test]
async fn a_stale_pooled_connection_fails_no_request() {
    let receiver = Receiver::start(|_, mut stream| async move {
        if read_request(&mut stream).await.is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let (client, to) = (client(AllowLoopback), format!("http://{}/", receiver.address));
    for _ in 0..20 {
        let answer = post_within(&client, &to, AMPLE).await;
        assert_eq!((answer.status, answer.error), (Some(200), None));
        // As long as a worker's read from the database. In this time the client notices that the socket was closed.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(receiver.connections(), 20);
}

/// Starts a receiver whose connection answers `answered` requests, and then reads one more and ends without an answer. Returns it
/// with the count of requests. The argument of `answered` is the connection's number, from 1.
async fn ending_after(answered: fn(usize) -> usize) -> (Receiver, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let receiver = Receiver::start(move |number, mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            for _ in 0..answered(number) {
                if read_request(&mut stream).await.is_none() {
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
            if read_request(&mut stream).await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (receiver, requests)
}

#[tokio::test]
async fn a_reused_connection_that_ends_without_an_answer_is_replaced() {
    let (receiver, requests) = ending_after(|_| 1).await;
    let (client, to) = (client(AllowLoopback), format!("http://{}/", receiver.address));
    for _ in 0..2 {
        assert_eq!(post_within(&client, &to, AMPLE).await.status, Some(200));
    }
    assert_eq!((requests.load(Ordering::SeqCst), receiver.connections()), (3, 2));
}

#[tokio::test]
async fn a_reused_connection_is_replaced_only_once() {
    let (receiver, requests) = ending_after(|connection| usize::from(connection == 1)).await;
    let (client, to) = (client(AllowLoopback), format!("http://{}/", receiver.address));
    assert_eq!(post_within(&client, &to, AMPLE).await.status, Some(200));
    assert_eq!(post_within(&client, &to, AMPLE).await, failed(AttemptError::Closed));
    assert_eq!((requests.load(Ordering::SeqCst), receiver.connections()), (3, 2));
}

/// A new connection that ends without an answer is the receiver's doing: the request is not sent again.
#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer_fails_the_request() {
    let (receiver, requests) = ending_after(|_| 0).await;
    let (client, to) = (client(AllowLoopback), format!("http://{}/", receiver.address));
    for count in 1..=3 {
        assert_eq!(post_within(&client, &to, AMPLE).await, failed(AttemptError::Closed));
        assert_eq!((requests.load(Ordering::SeqCst), receiver.connections()), (count, count));
    }
}

/// The replacement has no time of its own.
#[tokio::test]
async fn a_replaced_connection_keeps_within_the_timeout() {
    let hanging = Receiver::start(|number, mut stream| async move {
        if read_request(&mut stream).await.is_some() && number == 1 {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let _ = read_request(&mut stream).await;
            return;
        }
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let (client, to) = (client(AllowLoopback), format!("http://{}/", hanging.address));
    assert_eq!(post_within(&client, &to, AMPLE).await.status, Some(200));
    let started = Instant::now();
    assert_eq!(post_within(&client, &to, SHORT).await, failed(AttemptError::Timeout));
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_strict_policy_dials_no_private_address() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "169.254.169.254"] {
        let answer = post_within(&client(Strict), &format!("https://{host}:{port}/"), AMPLE).await;
        assert_eq!(answer, failed(AttemptError::ForbiddenAddress), "{host}");
    }
    let answer = post_within(&client(Strict), &format!("http://example.com:{port}/"), AMPLE).await;
    assert_eq!(answer, failed(AttemptError::UnsupportedUrl));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn one_forbidden_address_is_enough_over_http_and_https() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    for (policy, bad) in [(Strict, "127.0.0.1"), (Strict, "10.0.0.1"), (AllowLoopback, "10.0.0.1")] {
        let client = scripted(policy, move |_| {
            Ok(["1.1.1.1", bad].map(|ip| SocketAddr::new(ip.parse().expect("an address"), 0)).to_vec())
        });
        for scheme in ["http", "https"] {
            if policy == Strict && scheme == "http" {
                continue;
            }
            let to = format!("{scheme}://receiver.example:{}/", receiver.address.port());
            assert_eq!(
                post_within(&client, &to, AMPLE).await,
                failed(AttemptError::ForbiddenAddress),
                "{policy:?} {bad}"
            );
        }
    }
    assert_eq!(receiver.connections(), 0);
}

/// A name that has an allowed address first and a forbidden one later is checked at every dial.
#[tokio::test]
async fn dns_rebinding_does_not_pass_the_guard() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lookups);
    let client = scripted(AllowLoopback, move |name| {
        assert_eq!(name, "rebind.example");
        let ip = if counter.fetch_add(1, Ordering::SeqCst) == 0 { [127, 0, 0, 1] } else { [169, 254, 169, 254] };
        Ok(vec![SocketAddr::from((ip, 0))])
    });
    let to = format!("http://rebind.example:{}/", receiver.address.port());
    assert_eq!(post_within(&client, &to, AMPLE).await.status, Some(200));
    assert_eq!(lookups.load(Ordering::SeqCst), 1, "one lookup for each dial");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(post_within(&client, &to, AMPLE).await, failed(AttemptError::ForbiddenAddress));
    assert_eq!((lookups.load(Ordering::SeqCst), receiver.connections()), (2, 1));
}

#[tokio::test]
async fn dns_and_connect_failures_have_different_codes() {
    let closed =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
    let no_name = scripted(AllowLoopback, |_| Err(io::Error::other("no such host")));
    let empty = scripted(AllowLoopback, |_| Ok(Vec::new()));
    for scheme in ["http", "https"] {
        let to = format!("{scheme}://receiver.example:{closed}/");
        assert_eq!(post_within(&no_name, &to, AMPLE).await, failed(AttemptError::Dns), "{scheme}");
        assert_eq!(post_within(&empty, &to, AMPLE).await, failed(AttemptError::Dns), "{scheme}");
        let to = format!("{scheme}://127.0.0.1:{closed}/");
        assert_eq!(post_within(&client(AllowLoopback), &to, AMPLE).await, failed(AttemptError::Connect), "{scheme}");
    }
}

#[tokio::test]
async fn failed_handshakes_are_tls_errors() {
    let close_at_once = Receiver::start(|_, mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let speak_http = Receiver::start(|_, mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let reset = Receiver::start(|_, mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        stream.set_zero_linger().expect("a socket option");
    })
    .await;
    for receiver in [close_at_once, speak_http, reset] {
        let answer = post_within(&client(AllowLoopback), &format!("https://{}/", receiver.address), AMPLE).await;
        assert_eq!(answer, failed(AttemptError::Tls));
    }
}

/// In Lambda, the runtime API listens on loopback. Webhooks must not reach it even if the policy allows loopback.
#[tokio::test]
async fn the_runtime_api_is_refused_even_if_loopback_is_allowed() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (runtime_api, receiver) = (Receiver::answering(answer).await, Receiver::answering(answer).await);
    let (forbidden, port) = (runtime_api.address.port(), receiver.address.port());
    let policy = EndpointPolicy::AllowLoopbackExcept(forbidden);
    let client = scripted(policy, |name| {
        let ip = if name == "public.example" { [10, 0, 0, 1] } else { [127, 0, 0, 1] };
        Ok(vec![SocketAddr::from((ip, 0))])
    });
    let literal = ["127.0.0.1", "127.1", "0x7f.1", "0177.1", "2130706433", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"];
    for host in literal.into_iter().chain(["localhost", "LOCALHOST.", "a.localhost"]) {
        for scheme in ["http", "https"] {
            assert!(policy.judge_url(&format!("{scheme}://{host}:{forbidden}/2018-06-01/runtime")).is_err(), "{host}");
        }
    }
    for host in literal.into_iter().chain(["localhost", "LOCALHOST.", "rebind.example"]) {
        let answer = post_within(&client, &format!("http://{host}:{forbidden}/2018-06-01/runtime"), AMPLE).await;
        assert_eq!(answer, failed(AttemptError::ForbiddenAddress), "{host}");
    }
    assert_eq!(runtime_api.connections(), 0);
    for host in ["127.0.0.1", "127.1", "localhost", "rebind.example"] {
        let to = format!("http://{host}:{port}/");
        assert!(policy.judge_url(&to).is_ok(), "{host}");
        assert_eq!(post_within(&client, &to, AMPLE).await.status, Some(200), "{host}");
    }
    // A URL without a port has the default port of its scheme. Public addresses stay allowed on the forbidden port.
    let default = EndpointPolicy::AllowLoopbackExcept(80);
    assert!(default.judge_url("http://127.0.0.1/").is_err() && default.judge_url("http://example.com/").is_ok());
    assert!(default.judge_url("http://127.0.0.1:81/").is_ok() && default.judge_url("http://10.0.0.1:81/").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_target_at_its_bound_admits_no_more_requests() {
    let client = client(AllowLoopback);
    let (busy, other) = (url("http://127.0.0.1:1/a"), url("http://127.0.0.1:2/"));
    let mut admitted = Vec::new();
    while let Some(permit) = client.admit(&busy).await {
        admitted.push(permit);
    }
    assert_eq!(admitted.len(), 128, "a quarter of the bound on all requests");
    assert!(client.admit(&url("http://127.0.0.1:1/b")).await.is_none(), "another webhook on the same target");
    assert!(client.admit(&other).await.is_some());
    admitted.pop();
    assert!(client.admit(&busy).await.is_some());
}

/// What is posted instead of a delivery, such as the request for an access token, passes the same guard.
#[tokio::test]
async fn a_post_to_another_url_passes_the_same_guard_and_bounds() {
    let rebinding: SocketAddr = ([169, 254, 169, 254], 0).into();
    let client = scripted(AllowLoopback, move |_| Ok(vec![rebinding]));
    let hook = url("http://127.0.0.1:1/");
    let admitted = client.admit(&hook).await.expect("nothing else is under way");
    let post = async |to: &str, timeout| {
        admitted.post_instead(&url(to), HeaderMap::new(), Bytes::from_static(b"a=1"), timeout).await
    };
    for private in ["http://auth.example/token", "http://10.0.0.1/token", "http://[fd00::1]/token"] {
        assert_eq!(post(private, AMPLE).await, Err(AttemptError::ForbiddenAddress), "{private}");
    }
    let whole = Receiver::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}").await;
    let answer = post(&format!("http://{}/", whole.address), AMPLE).await.expect("an answer");
    assert_eq!((answer.status, &*answer.body), (400, &b"{}"[..]));
    let flood = Receiver::answering([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 65 * 1024]].concat()).await;
    assert_eq!(post(&format!("http://{}/", flood.address), AMPLE).await, Err(AttemptError::Protocol));
    let hanging = Receiver::start(|_, mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert_eq!(post(&format!("http://{}/", hanging.address), SHORT).await, Err(AttemptError::Timeout));
}
