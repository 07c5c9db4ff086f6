//! Name servers that do not respond delay only the requests to their own names.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use domain::delivery::AttemptError;
use domain::endpoint_policy::{EndpointPolicy, EndpointUrl};
use domain::time::Clock;
use embedded_aws::{EmbeddedAws, QueueAttributes};
use endpoint::EndpointClient;
use http::HeaderMap;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use crate::harness::receiver::Receiver;

/// How long a lookup of a silent name blocks its thread.
const SILENCE: Duration = Duration::from_secs(30);
/// The timeout of an attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Fewer requests than one client may have in flight. Twice as many are more than a runtime has
/// blocking threads.
const REQUESTS: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_name_servers_delay_neither_other_names_nor_the_disk() {
    // Generous, for a machine that is busy with other tests. A wait for a name server would take
    // seconds.
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
        // Only the quickest of five counts, since a busy machine may delay some.
        let (mut quickest_post, mut quickest_flush) = (ATTEMPT, ATTEMPT);
        for number in 0..5 {
            let began = Instant::now();
            let answer = post(format!("healthy-{names}-{number}.example")).await;
            assert_eq!(answer.status, Some(200), "{answer:?}");
            quickest_post = quickest_post.min(began.elapsed());
            aws.create_queue(&format!("queue-{names}-{number}"), QueueAttributes::default()).expect("made");
            let began = Instant::now();
            timeout(ATTEMPT, aws.flush()).await.expect("the flush does not wait for name servers").expect("a disk");
            quickest_flush = quickest_flush.min(began.elapsed());
        }
        assert!(quickest_post < QUICK, "{names} silent names: {quickest_post:?}");
        assert!(quickest_flush < QUICK, "{names} silent names: {quickest_flush:?}");
        for request in waiting {
            let answer = request.await.expect("no panic");
            assert_eq!(answer.error.map(AttemptError::as_str), Some("timeout"));
        }
    }
}
