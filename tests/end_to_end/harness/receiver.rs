//! A receiver of deliveries on loopback. It records every request exactly and answers by a script,
//! which may also do what no well-behaved server does.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The longest wait for requests. It is generous, since only a failing test reaches it.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest request body, in bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// One request as it arrived.
#[derive(Debug)]
pub(crate) struct Received {
    /// When its last byte arrived.
    pub(crate) at: Instant,
    /// The method, such as `POST`.
    pub(crate) method: String,
    /// The request target.
    pub(crate) path: String,
    /// All headers, in order of arrival.
    pub(crate) headers: HeaderMap,
    /// The body, unparsed.
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// A header as text. Panics unless it occurs once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name} should occur once: {:?}", self.headers);
        values[0].to_str().expect("a header of visible characters")
    }

    /// The event's id (`webhook-id`), which is the receiver's idempotency key.
    #[track_caller]
    pub(crate) fn event(&self) -> &str {
        self.header("webhook-id")
    }

    /// The number of the attempt (`X-Webhook-Attempt`).
    #[track_caller]
    pub(crate) fn attempt(&self) -> u32 {
        self.header("x-webhook-attempt").parse().expect("a number")
    }
}

/// What a receiver does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A complete response: status, headers, body.
    Reply(u16, Vec<(&'static str, String)>, String),
    /// No response for as long as the sender waits.
    Hang,
    /// A 200 with the first bytes of its body, and then nothing for as long as the sender waits.
    HangInBody,
    /// A 200 whose body never ends.
    EndlessBody,
    /// These bytes; then the connection is closed.
    Bytes(&'static [u8]),
    /// No response; the connection is closed.
    Drop,
    /// Another answer after a wait in milliseconds.
    After(u64, Box<Answer>),
}

impl Answer {
    /// A response without headers or body.
    pub(crate) fn status(status: u16) -> Self {
        Self::Reply(status, Vec::new(), String::new())
    }

    /// A response with one header and no body.
    pub(crate) fn with(status: u16, name: &'static str, value: &str) -> Self {
        Self::Reply(status, vec![(name, value.to_owned())], String::new())
    }

    /// The same answer after a wait.
    pub(crate) fn after_ms(self, wait_ms: u64) -> Self {
        Self::After(wait_ms, Box::new(self))
    }
}

type Script = dyn Fn(usize, &Received) -> Answer + Send + Sync;
type Requests = watch::Sender<Vec<Arc<Received>>>;

/// A listening receiver. It stops when it is dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    requests: Arc<Requests>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Answers every request with this status.
    pub(crate) async fn answering(status: u16) -> Self {
        Self::scripted(move |_, _| Answer::status(status)).await
    }

    /// Gives these answers one after another, then repeats the last one.
    pub(crate) async fn in_turn(answers: Vec<Answer>) -> Self {
        Self::scripted(move |before, _| answers[before.min(answers.len() - 1)].clone()).await
    }

    /// Answers as `script` says. The script receives the number of earlier requests, and the
    /// request.
    pub(crate) async fn scripted(script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::on_port(0, script).await
    }

    /// The same on a port that is free; 0 picks one.
    pub(crate) async fn on_port(
        port: u16,
        script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (requests, script): (Arc<Requests>, Arc<Script>) = (Arc::default(), Arc::new(script));
        let shared = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // An error only means that the sender has closed the connection.
                let connection = serve(stream, Arc::clone(&script), Arc::clone(&shared));
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        Self { address, requests, task }
    }

    /// The receiver's URL with `path`, as the stack under test reaches it (see `HOOKLINE_RECEIVERS`
    /// in [`stack`](super::stack)).
    pub(crate) fn url(&self, path: &str) -> String {
        let base = std::env::var("HOOKLINE_RECEIVERS").unwrap_or_else(|_| "http://127.0.0.1:{port}".to_owned());
        format!("{}{path}", base.replace("{port}", &self.address.port().to_string()))
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Arc<Received>> {
        self.requests.borrow().clone()
    }

    /// Waits for at least `count` requests; returns all.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Arc<Received>> {
        self.wait_until(DEADLINE, &format!("{count} requests"), |seen| seen.len() >= count).await
    }

    /// Waits for at least `count` requests of one event; returns all of that event.
    pub(crate) async fn wait_for_event(&self, event: &str, count: usize) -> Vec<Arc<Received>> {
        let of_event = |seen: &[Arc<Received>]| -> Vec<_> {
            seen.iter().filter(|request| request.event() == event).cloned().collect()
        };
        let what = format!("{count} requests of {event}");
        of_event(&self.wait_until(DEADLINE, &what, |seen| of_event(seen).len() >= count).await)
    }

    /// Waits until the requests satisfy `wanted`; returns all.
    pub(crate) async fn wait_until(
        &self,
        deadline: Duration,
        what: &str,
        wanted: impl Fn(&[Arc<Received>]) -> bool,
    ) -> Vec<Arc<Received>> {
        let mut requests = self.requests.subscribe();
        let arrived = tokio::time::timeout(deadline, requests.wait_for(|seen| wanted(seen))).await;
        match arrived {
            Ok(seen) => seen.expect("the sender is ours").clone(),
            Err(late) => panic!("{what} did not arrive ({late}); these did: {:#?}", self.outline()),
        }
    }

    /// Waits until `moment`; panics if there are more than `count` requests by then.
    pub(crate) async fn no_more_than(&self, count: usize, moment: Instant) {
        let mut requests = self.requests.subscribe();
        let more = tokio::time::timeout_at(moment, requests.wait_for(|seen| seen.len() > count)).await.is_ok();
        assert!(!more, "more than {count} requests: {:#?}", self.outline());
    }

    /// Each request in one line, without its body.
    fn outline(&self) -> Vec<String> {
        let line = |request: &Arc<Received>| format!("{} {} {:?}", request.method, request.path, request.headers);
        self.requests.borrow().iter().map(line).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads the requests of a connection one after another, and answers them.
async fn serve(mut stream: TcpStream, script: Arc<Script>, requests: Arc<Requests>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        let request = Arc::new(request);
        let mut before = 0;
        requests.send_modify(|seen| {
            before = seen.len();
            seen.push(Arc::clone(&request));
        });
        let mut answer = script(before, &request);
        while let Answer::After(wait_ms, later) = answer {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            answer = *later;
        }
        match answer {
            Answer::Reply(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    write!(head, "{name}: {value}\r\n").expect("a String takes everything");
                }
                stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
            }
            Answer::Hang => return until_gone(stream).await,
            Answer::HangInBody => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly the beginning").await?;
                return until_gone(stream).await;
            }
            Answer::EndlessBody => return endless(stream).await,
            Answer::Bytes(bytes) => {
                stream.write_all(bytes).await?;
                return Ok(());
            }
            Answer::Drop | Answer::After(..) => return Ok(()),
        }
    }
    Ok(())
}

/// Reads the next request of a connection; `None` if the sender closes the connection first.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Received>> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).expect("a request head in UTF-8");
    let mut lines = head.trim_end().split("\r\n");
    let mut start = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header line has a colon");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        headers.append(name, HeaderValue::from_str(value.trim()).expect("a header value"));
    }
    assert!(!headers.contains_key("transfer-encoding"), "a delivery has a known length: {headers:?}");
    let length =
        headers.get("content-length").map_or(0, |value| value.to_str().expect("digits").parse().expect("digits"));
    assert!(length <= REQUEST_BYTES_MAX, "a request of {length} bytes");
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    Ok(Some(Received { at: Instant::now(), method, path, headers, body }))
}

/// Sends nothing until the sender closes the connection.
async fn until_gone(mut stream: TcpStream) -> std::io::Result<()> {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// Writes a body without end, until the sender closes the connection.
async fn endless(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    loop {
        stream.write_all(chunk.as_bytes()).await?;
    }
}

mod tests {
    //! The receiver does what its script says. All other tests rely on it.

    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Answer, Receiver};
    use crate::harness::client::post_to;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn requests_are_recorded_exactly_and_answered_in_turn() {
        let receiver = Receiver::in_turn([500, 410, 204].map(Answer::status).to_vec()).await;
        let bodies = [b"\x00\xff\r\n\r\n".to_vec(), vec![b'x'; 300 << 10], Vec::new(), b"{}".to_vec()];
        for (body, status) in bodies.iter().zip([500, 410, 204, 204]) {
            let headers = [("X-Webhook-Attempt", "7")];
            assert_eq!(post_to(&receiver.url("/a?b=c"), &headers, body.clone()).await, status);
        }
        let seen = receiver.wait_for(4).await;
        for (request, body) in seen.iter().zip(&bodies) {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a?b=c"));
            assert_eq!(request.attempt(), 7);
            assert!(&request.body == body, "the bytes differ");
        }
        assert!(seen.is_sorted_by_key(|request| request.at));
        receiver.no_more_than(4, Instant::now() + Duration::from_millis(50)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[should_panic(expected = "more than 0 requests")]
    async fn an_unexpected_request_is_noticed() {
        let receiver = Receiver::answering(200).await;
        let url = receiver.url("/");
        let post = async { post_to(&url, &[], Vec::new()).await };
        tokio::join!(post, receiver.no_more_than(0, Instant::now() + Duration::from_secs(30)));
    }
}
