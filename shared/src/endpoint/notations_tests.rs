//! The guard against every notation of a forbidden place that is known to have passed some other guard; see
//! `notations/README.md` for where they are from.

use super::{
    EndpointClient,
    EndpointPolicy::{AllowLoopback, Strict},
    EndpointUrl, PostError,
    resolver::JudgingResolver,
};
use bytes::Bytes;
use http::HeaderMap;
use std::{net::SocketAddr, time::Duration};

const AMPLE: Duration = Duration::from_secs(10);

/// The lines of a collection.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn refused() -> impl Iterator<Item = &'static str> {
    lines(include_str!("notations/refused.txt"))
}

#[test]
fn every_notation_is_refused_at_registration() {
    let taken: Vec<_> = refused().filter(|url| Strict.judge_url(url).is_ok()).collect();
    assert!(taken.is_empty(), "{taken:#?}");
    assert!(refused().count() > 200, "{}", refused().count());
}

/// A URL that was stored before the guard knew better, or under a laxer policy, is refused when it is dialled. What is left
/// out has a host that is in order, and something else beside it that is not.
#[tokio::test]
async fn every_notation_of_a_forbidden_address_is_refused_at_the_dial() {
    let client = EndpointClient::with(Strict, JudgingResolver::scripted(Strict, |_| Ok(Vec::new())), None);
    let client = client.expect("a client");
    let stored = refused().filter_map(|text| EndpointUrl::stored(text).ok());
    let forbidden = stored.filter(|url| url.literal_address().is_some_and(|ip| !Strict.allows(ip)));
    let mut count = 0;
    for url in forbidden {
        let answer = client.post(&url, HeaderMap::new(), Bytes::new(), AMPLE).await;
        assert_eq!(answer.error, Some(PostError::ForbiddenAddress), "{url}");
        count += 1;
    }
    assert!(count > 100, "{count}");
}

/// Public to look at, and refused by what it resolves to: alone, and beside addresses that are in order.
#[tokio::test]
async fn a_public_name_of_a_forbidden_address_is_refused_at_the_dial() {
    for line in lines(include_str!("notations/refused_at_dial.txt")) {
        let (name, address) = line.split_once(' ').expect("a name and an address");
        let address: SocketAddr = SocketAddr::new(address.parse().expect("an address"), 0);
        assert!(Strict.judge_url(&format!("https://{name}/")).is_ok(), "{name} looks public");
        for answer in [vec![address], vec!["1.1.1.1:0".parse().expect("an address"), address]] {
            for policy in [Strict, AllowLoopback] {
                if policy.allows(address.ip()) {
                    continue;
                }
                let resolver = JudgingResolver::scripted(policy, {
                    let answer = answer.clone();
                    move |_| Ok(answer.clone())
                });
                let client = EndpointClient::with(policy, resolver, None).expect("a client");
                let url = EndpointUrl::stored(format!("https://{name}/")).expect("a URL");
                let answer = client.post(&url, HeaderMap::new(), Bytes::new(), AMPLE).await;
                assert_eq!(answer.error, Some(PostError::ForbiddenAddress), "{policy:?} {line}");
            }
        }
    }
}
