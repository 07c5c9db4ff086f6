//! The tests' own receiver does what its script says: what the other tests conclude rests on it.

use std::time::Duration;

use tokio::time::Instant;

use crate::api;
use crate::receiver::{Answer, Receiver};
use crate::signature;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_records_requests_to_the_byte_and_answers_in_turn() {
    let receiver = Receiver::in_turn([500, 410, 204].map(Answer::status).to_vec()).await;
    let bodies = [b"\x00\xff\r\n\r\n".to_vec(), vec![b'x'; 300 << 10], Vec::new(), b"{}".to_vec()];
    for (body, status) in bodies.iter().zip([500, 410, 204, 204]) {
        let headers = [("X-Webhook-Attempt", "7")];
        assert_eq!(api::post_to(&receiver.url("/a?b=c"), &headers, body.clone()).await, status);
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
#[should_panic(expected = "a request too many")]
async fn it_sees_a_request_too_many() {
    let receiver = Receiver::answering(200).await;
    let url = receiver.url("/");
    let post = async { api::post_to(&url, &[], Vec::new()).await };
    tokio::join!(post, receiver.no_more_than(0, Instant::now() + Duration::from_secs(30)));
}

/// The vector of RFC 4231, case 2, and that a changed body is another text of the same length.
#[test]
fn its_signature_is_the_published_one() {
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(signature::body_signature("Jefe", b"what do ya want for nothing?"), expected);
    let body = br#"{"id":"evt_01"}"#;
    assert_eq!(signature::one_byte_changed(body), br#"{"id":"evt_11"}"#);
}
