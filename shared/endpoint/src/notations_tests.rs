//! The guard against notations of forbidden URLs and addresses that are known to have passed other guards. Their sources are in
//! `notations/README.md`.

use super::{EndpointClient, resolver::GuardedResolver};
use bytes::Bytes;
use domain::{
    delivery::AttemptError,
    endpoint_policy::{
        EndpointPolicy::{AllowLoopback, Strict},
        EndpointUrl,
    },
};
use http::HeaderMap;
use std::{net::SocketAddr, time::Duration};

const AMPLE: Duration = Duration::from_secs(10);

/// Returns the lines of a list, without comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn refused() -> impl Iterator<Item = &'static str> {
    lines(include_str!("notations/refused.txt"))
}

#[test]
fn every_notation_is_refused_at_registration() {
    let accepted: Vec<_> = refused().filter(|url| Strict.judge_url(url).is_ok()).collect();
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(refused().count() > 200, "{}", refused().count());
}

/// A URL that was stored under a laxer guard or policy is refused when it is dialled. The test leaves out URLs without a
/// forbidden literal address: something else in them is forbidden.
#[tokio::test]
async fn every_notation_of_a_forbidden_address_is_refused_at_the_dial() {
    let client = EndpointClient::with(Strict, GuardedResolver::scripted(Strict, |_| Ok(Vec::new())), None);
    let client = client.expect("a client");
    let stored = refused().filter_map(|text| EndpointUrl::stored(text).ok());
    let forbidden = stored.filter(|url| url.literal_address().is_some_and(|ip| !Strict.allows(ip)));
    let mut count = 0;
    for url in forbidden {
        let answer = client.post(&url, HeaderMap::new(), Bytes::new(), AMPLE).await;
        assert_eq!(answer.error, Some(AttemptError::ForbiddenAddress), "{url}");
        count += 1;
    }
    assert!(count > 100, "{count}");
}

/// The name looks public, but its address is forbidden. It is refused with this address alone, and with an allowed address
/// beside it.
#[tokio::test]
async fn a_public_name_with_a_forbidden_address_is_refused_at_the_dial() {
    for line in lines(include_str!("notations/refused_at_dial.txt")) {
        let (name, address) = line.split_once(' ').expect("a name and an address");
        let address: SocketAddr = SocketAddr::new(address.parse().expect("an address"), 0);
        assert!(Strict.judge_url(&format!("https://{name}/")).is_ok(), "{name} looks public");
        for answer in [vec![address], vec!["1.1.1.1:0".parse().expect("an address"), address]] {
            for policy in [Strict, AllowLoopback] {
                if policy.allows(address.ip()) {
                    continue;
                }
                let resolver = GuardedResolver::scripted(policy, {
                    let answer = answer.clone();
                    move |_| Ok(answer.clone())
                });
                let client = EndpointClient::with(policy, resolver, None).expect("a client");
                let url = EndpointUrl::stored(format!("https://{name}/")).expect("a URL");
                let answer = client.post(&url, HeaderMap::new(), Bytes::new(), AMPLE).await;
                assert_eq!(answer.error, Some(AttemptError::ForbiddenAddress), "{policy:?} {line}");
            }
        }
    }
}
