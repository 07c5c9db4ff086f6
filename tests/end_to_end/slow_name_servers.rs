//! Name servers that do not answer cost those whose names they have, and nobody else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use hookline::endpoint::{EndpointClient, EndpointPolicy, EndpointUrl};
use hookline::time::Clock;
use http::HeaderMap;
use local::embedded::{EmbeddedAws, QueueSettings};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use crate::receiver::Receiver;

/// How long the system's resolver holds its thread.
const SILENCE: Duration = Duration::from_secs(30);
/// What an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Fewer than one client may have under way; two rounds of them are more than the blocking threads of a runtime.
const REQUESTS: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_name_servers_delay_neither_other_names_nor_the_disk() {
    // On a machine that is busy with other tests; what waits for name servers waits for seconds.
    const QUICK: Duration = Duration::from_millis(500);
    let (folder, receiver) = (TempDir::with_prefix("hookline-").expect("a folder"), Receiver::answering(200).await);
    let aws = EmbeddedAws::open(Some(folder.path()), Clock::system()).expect("the folder opens");
    let look_up = |name: &str| {
        if name.starts_with("silent") {
            std::thread::sleep(SILENCE);
        }
        Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
    };
    let client = EndpointClient::looking_up(EndpointPolicy::AllowLoopback, look_up).expect("a client");
    let post = |name: String| {
        let (client, url) = (client.clone(), receiver.url("/").replace("127.0.0.1", &name));
        let url = EndpointUrl::stored(url).expect("a URL");
        async move { client.post(&url, HeaderMap::new(), Bytes::new(), ATTEMPT).await }
    };
    for names in [4, 100] {
        let waiting: Vec<_> =
            (0..REQUESTS).map(|request| tokio::spawn(post(format!("silent-{}.example", request % names)))).collect();
        // What is quick at its best is not held up; a busy machine may delay one of five.
        let (mut quickest_post, mut quickest_flush) = (ATTEMPT, ATTEMPT);
        for number in 0..5 {
            let began = Instant::now();
            let answer = post(format!("healthy-{names}-{number}.example")).await;
            assert_eq!(answer.status, Some(200), "{answer:?}");
            quickest_post = quickest_post.min(began.elapsed());
            aws.create_queue(&format!("queue-{names}-{number}"), QueueSettings::default()).expect("made");
            let began = Instant::now();
            timeout(ATTEMPT, aws.flush()).await.expect("it does not wait for name servers").expect("a disk");
            quickest_flush = quickest_flush.min(began.elapsed());
        }
        assert!(quickest_post < QUICK, "{names} silent names: {quickest_post:?}");
        assert!(quickest_flush < QUICK, "{names} silent names: {quickest_flush:?}");
        for request in waiting {
            let answer = request.await.expect("no panic");
            assert_eq!(answer.error.map(hookline::endpoint::PostError::as_str), Some("timeout"));
        }
    }
}
