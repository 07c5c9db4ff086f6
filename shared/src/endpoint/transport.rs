//! How a judged request travels: over the network by the one HTTP client, or, in a simulation, to a receiver in this
//! process. All that comes before it (the guard on literal addresses) and after it (time, bytes, `Retry-After`, the excerpt)
//! is `client.rs`'s and the same for both.

#[cfg(feature = "simulation")]
use super::resolver::{ForbiddenAnswer, JudgingResolver};
use super::{
    admission::IDLE_PER_TARGET_MAX,
    error::{BuildError, PostError},
};
use reqwest::{Client, Request, Response};
use std::{
    fmt,
    sync::{Arc, LazyLock},
};

/// Answers a request that passed the guard, as the receiver at one of the judged addresses.
#[cfg(feature = "simulation")]
pub type Receive =
    std::sync::Arc<dyn Fn(Request) -> futures::future::BoxFuture<'static, Result<Response, PostError>> + Send + Sync>;

/// HTTP clients that differ only in what becomes of their connections.
#[derive(Clone)]
pub(super) struct Clients(Arc<Both>);

struct Both {
    keeping: Client,
    /// Made when it is first needed, which in Lambda is never.
    closing: LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>,
}

impl Clients {
    /// Makes them by `make`, which gets the number of idle connections to keep for one host.
    pub(super) fn new(make: impl Fn(usize) -> Result<Client, BuildError> + Send + 'static) -> Result<Self, BuildError> {
        let keeping = make(IDLE_PER_TARGET_MAX)?;
        let instead = keeping.clone();
        let closing = move || {
            let client =
                make(0).inspect_err(|error| tracing::warn!(%error, "connections are kept beyond their number"));
            client.unwrap_or(instead)
        };
        Ok(Self(Arc::new(Both { keeping, closing: LazyLock::new(Box::new(closing)) })))
    }

    fn client(&self, keeps: bool) -> &Client {
        if keeps { &self.0.keeping } else { &self.0.closing }
    }
}

/// Where requests go.
#[derive(Clone)]
pub(super) enum Transport {
    /// To the receiver. The client's own resolver judges each address before it is dialled.
    Network(Clients),
    /// To `receive`, after the resolver has judged the host's addresses as it does before a dial.
    #[cfg(feature = "simulation")]
    InProcess { resolver: JudgingResolver, receive: Receive },
}

impl Transport {
    /// Sends a request, over a connection that may be kept for the next one or not; the answer's body is still to be read.
    pub(super) async fn send(&self, request: Request, keeps: bool) -> Result<Response, PostError> {
        match self {
            Self::Network(clients) => {
                clients.client(keeps).execute(request).await.map_err(|error| PostError::from(&error))
            }
            #[cfg(feature = "simulation")]
            Self::InProcess { resolver, receive } => {
                resolve(resolver, &request).await?;
                receive(request).await
            }
        }
    }
}

/// Resolves the request's host by the judging resolver, which a literal address does not need.
#[cfg(feature = "simulation")]
async fn resolve(resolver: &JudgingResolver, request: &Request) -> Result<(), PostError> {
    use reqwest::dns::Resolve;
    let Some(host) = request.url().domain() else { return Ok(()) };
    let name = host.parse().map_err(|_| PostError::Dns)?;
    match resolver.resolve(name).await {
        Ok(_) => Ok(()),
        Err(error) if error.is::<ForbiddenAnswer>() => Err(PostError::ForbiddenAddress),
        Err(_) => Err(PostError::Dns),
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network(_) => "Network",
            #[cfg(feature = "simulation")]
            Self::InProcess { .. } => "InProcess",
        })
    }
}
