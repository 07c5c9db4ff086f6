//! DNS for the client. The resolver checks every address of a name before the client dials one of them.
//!
//! The client dials exactly the addresses that it gets from here, so there is no second lookup whose answer could differ. If
//! one address is forbidden, the whole answer is refused: a name that has both public and private addresses is an attack or a
//! mistake, and to dial only the allowed ones would leave the choice to chance.

use super::lookups::Lookups;
use domain::endpoint_policy::EndpointPolicy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
};

/// The name has an address that the policy forbids. [`classify`](crate::error::classify) looks for this error among the sources
/// of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name resolves to an address that webhooks must not reach")]
pub(super) struct ForbiddenAnswer;

/// The client's resolver: looks a name up and checks its addresses by the policy.
#[derive(Clone, Debug)]
pub(super) struct GuardedResolver {
    policy: EndpointPolicy,
    source: AnswerSource,
}

/// Where the addresses come from.
#[derive(Clone)]
enum AnswerSource {
    /// Lookups that may block, on threads of their own.
    Threads(Lookups),
    /// Answers made up by a test or a simulation.
    #[cfg(any(test, feature = "simulation"))]
    Scripted(Script),
}

#[cfg(any(test, feature = "simulation"))]
type Script = std::sync::Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

impl GuardedResolver {
    /// Checks the answers of the system's resolver. At most `look_ups_max` lookups are under way at once.
    pub(super) fn system(policy: EndpointPolicy, look_ups_max: usize) -> Self {
        // Port 0 means no port: the connector uses the URL's.
        Self::blocking(policy, look_ups_max, |name| Ok((name, 0).to_socket_addrs()?.collect()))
    }

    /// Checks the answers of `look_up`, which may block. At most `look_ups_max` lookups are under way at once.
    pub(super) fn blocking(
        policy: EndpointPolicy,
        look_ups_max: usize,
        look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { policy, source: AnswerSource::Threads(Lookups::new(look_ups_max, look_up)) }
    }

    /// Returns a resolver with the same answers and another policy. Both share the bound on lookups.
    pub(super) fn with_policy(&self, policy: EndpointPolicy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Checks the answers of `script`, which must not block.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn scripted(
        policy: EndpointPolicy,
        script: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { policy, source: AnswerSource::Scripted(std::sync::Arc::new(script)) }
    }
}

impl AnswerSource {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Threads(lookups) => lookups.addresses(name).await,
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(script) => script(name),
        }
    }
}

impl fmt::Debug for AnswerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(_) => f.write_str("Threads"),
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(_) => f.write_str("Scripted"),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { policy, source } = self.clone();
        Box::pin(async move {
            let addresses = source.addresses(name.as_str()).await?;
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

    async fn resolve(policy: EndpointPolicy, answer: &'static [&str]) -> Result<Vec<String>, bool> {
        let resolver = GuardedResolver::scripted(policy, |_| {
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
            assert_eq!(resolve(policy, answer).await, expected, "{policy:?} {answer:?}");
        }
    }

    #[tokio::test]
    async fn an_empty_answer_is_a_dns_failure() {
        assert_eq!(resolve(Strict, &[]).await, Err(false));
    }
}
