//! DNS for the one client: every answer is judged, and only an answer that passed is dialled.
//!
//! The client dials exactly the addresses that come from here, so there is no second look-up whose answer could differ.
//! One forbidden address refuses the whole answer: a name that has public and private addresses at once is an attack or
//! a mistake, and dialling "the good ones" would leave the choice to chance.

use super::{lookups::Lookups, url::EndpointPolicy};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
};

/// The name has an address that the policy forbids. Found again in the chain of sources of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name resolves to an address that webhooks must not reach")]
pub(super) struct ForbiddenAnswer;

/// The client's resolver: looks a name up and judges the answer.
#[derive(Clone, Debug)]
pub(super) struct JudgingResolver {
    policy: EndpointPolicy,
    lookup: Lookup,
}

/// Where the answers come from.
#[derive(Clone)]
enum Lookup {
    /// Look-ups that block, by the system's resolver.
    Threads(Lookups),
    /// Answers that a test or a simulation has made up.
    #[cfg(any(test, feature = "simulation"))]
    Scripted(Script),
}

#[cfg(any(test, feature = "simulation"))]
type Script = std::sync::Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

impl JudgingResolver {
    /// Judges the answers of the system's resolver, which is asked for at most `look_ups_max` names at once.
    pub(super) fn system(policy: EndpointPolicy, look_ups_max: usize) -> Self {
        // Port 0 stands for "none": the connector puts in the URL's own.
        Self::blocking(policy, look_ups_max, |name| Ok((name, 0).to_socket_addrs()?.collect()))
    }

    /// Judges the answers of `look_up`, which may block.
    pub(super) fn blocking(
        policy: EndpointPolicy,
        look_ups_max: usize,
        look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { policy, lookup: Lookup::Threads(Lookups::new(look_ups_max, look_up)) }
    }

    /// The same answers, judged by another policy.
    pub(super) fn judging_by(&self, policy: EndpointPolicy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Judges the answers of `script`.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn scripted(
        policy: EndpointPolicy,
        script: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { policy, lookup: Lookup::Scripted(std::sync::Arc::new(script)) }
    }
}

impl Lookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Threads(lookups) => lookups.addresses(name).await,
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(script) => script(name),
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(_) => f.write_str("Threads"),
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(_) => f.write_str("Scripted"),
        }
    }
}

impl Resolve for JudgingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { policy, lookup } = self.clone();
        Box::pin(async move {
            let addresses = lookup.addresses(name.as_str()).await?;
            if addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            if addresses.iter().any(|address| !policy.allows(address.ip())) {
                return Err(ForbiddenAnswer.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EndpointPolicy::{AllowLoopback, Strict};

    async fn judge(policy: EndpointPolicy, answer: &'static [&str]) -> Result<Vec<String>, bool> {
        let resolver = JudgingResolver::scripted(policy, |_| {
            Ok(answer.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), 0)).collect())
        });
        let name = "receiver.example".parse().expect("a name");
        match resolver.resolve(name).await {
            Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
            Err(error) => Err(error.is::<ForbiddenAnswer>()),
        }
    }

    #[tokio::test]
    async fn one_forbidden_address_refuses_the_answer() {
        for (policy, answer, allowed) in [
            (Strict, &["1.1.1.1"][..], true),
            (Strict, &["1.1.1.1", "2606:4700::1111"], true),
            (Strict, &["127.0.0.1"], false),
            (Strict, &["1.1.1.1", "127.0.0.1"], false),
            (Strict, &["10.0.0.1", "1.1.1.1"], false),
            (Strict, &["1.1.1.1", "::ffff:1.1.1.1"], false),
            (Strict, &["1.1.1.1", "fd00:ec2::254"], false),
            (AllowLoopback, &["127.0.0.1", "::1"], true),
            (AllowLoopback, &["1.1.1.1", "127.0.0.1"], true),
            (AllowLoopback, &["127.0.0.1", "10.0.0.1"], false),
            (AllowLoopback, &["169.254.169.254"], false),
            (AllowLoopback, &["::ffff:127.0.0.1"], false),
            (AllowLoopback, &["0.0.0.0"], false),
        ] {
            let expected = if allowed { Ok(answer.iter().map(|&ip| ip.to_owned()).collect()) } else { Err(true) };
            assert_eq!(judge(policy, answer).await, expected, "{policy:?} {answer:?}");
        }
    }

    #[tokio::test]
    async fn an_empty_answer_is_a_dns_failure() {
        assert_eq!(judge(Strict, &[]).await, Err(false));
    }
}
