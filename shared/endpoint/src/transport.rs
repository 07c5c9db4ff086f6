//! Sends a request: over the network with reqwest's client or, in a simulation, to a receiver in this process. Everything else
//! is in `client.rs` and the same for both: the check of literal addresses before, and the bounds on time and bytes,
//! `Retry-After` and the excerpt after.

#[cfg(feature = "simulation")]
use super::resolver::{ForbiddenAnswer, GuardedResolver};
use super::{
    admission::IDLE_PER_TARGET_MAX,
    dial,
    error::{self, BuildError},
};
use domain::delivery::AttemptError;
use reqwest::{Client, Request, Response};
use std::{
    fmt,
    sync::{Arc, LazyLock},
};

/// Answers a request that passed the guard, in place of the receiver.
#[cfg(feature = "simulation")]
pub type Receive = std::sync::Arc<
    dyn Fn(Request) -> futures::future::BoxFuture<'static, Result<Response, AttemptError>> + Send + Sync,
>;

/// Two HTTP clients. They differ only in whether they keep a connection alive after its request.
#[derive(Clone)]
pub(super) struct Clients(Arc<Pair>);

struct Pair {
    keep_alive: Client,
    /// Created when it is first needed.
    closing: LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>,
}

impl Clients {
    /// Creates the clients with `make`, whose argument is the most idle connections to keep for one host.
    pub(super) fn new(make: impl Fn(usize) -> Result<Client, BuildError> + Send + 'static) -> Result<Self, BuildError> {
        let keep_alive = make(IDLE_PER_TARGET_MAX)?;
        let fallback = keep_alive.clone();
        let closing = move || {
            let client =
                make(0).inspect_err(|error| tracing::warn!(%error, "more connections are kept alive than the bound"));
            client.unwrap_or(fallback)
        };
        Ok(Self(Arc::new(Pair { keep_alive, closing: LazyLock::new(Box::new(closing)) })))
    }

    /// Sends a request: on a connection that was kept alive if there is one, or, unless `keep_alive`, on a new one.
    async fn send(&self, request: Request, keep_alive: bool) -> Result<Response, AttemptError> {
        let client = if keep_alive { &self.0.keep_alive } else { &*self.0.closing };
        client.execute(request).await.map_err(|error| error::classify(&error))
    }
}

/// Where requests go.
#[derive(Clone)]
pub(super) enum Transport {
    /// To the receiver. The client's resolver checks each address before it is dialled.
    Network(Clients),
    /// To `receive`, after the resolver has checked the host's addresses as it does before a dial.
    #[cfg(feature = "simulation")]
    InProcess { resolver: GuardedResolver, receive: Receive },
}

impl Transport {
    /// Sends a request. `keep_alive` says whether its connection may be kept alive for the next one. The caller bounds the time,
    /// and still has to read the body of the answer.
    ///
    /// A connection that was kept alive may end at the moment at which it is used again: the receiver closes it before it has read
    /// the request, and both ends are right. If such a connection ends without an answer, the request is sent once more, on a
    /// new one.
    pub(super) async fn send(&self, request: Request, keep_alive: bool) -> Result<Response, AttemptError> {
        match self {
            Self::Network(clients) => {
                let again = if keep_alive { request.try_clone() } else { None };
                let (sent, has_dialled) = dial::noting(clients.send(request, keep_alive)).await;
                match (sent, again) {
                    (Err(AttemptError::Closed), Some(again)) if !has_dialled => {
                        tracing::debug!(
                            "a reused connection ended without an answer; sending the request on a new one"
                        );
                        clients.send(again, false).await
                    }
                    (sent, _) => sent,
                }
            }
            #[cfg(feature = "simulation")]
            Self::InProcess { resolver, receive } => {
                resolve(resolver, &request).await?;
                receive(request).await
            }
        }
    }
}

/// Checks the addresses of the request's host. A literal address needs no lookup; `client.rs` has checked it.
#[cfg(feature = "simulation")]
async fn resolve(resolver: &GuardedResolver, request: &Request) -> Result<(), AttemptError> {
    use reqwest::dns::Resolve;
    let Some(host) = request.url().domain() else { return Ok(()) };
    let name = host.parse().map_err(|_| AttemptError::Dns)?;
    match resolver.resolve(name).await {
        Ok(_) => Ok(()),
        Err(error) if error.is::<ForbiddenAnswer>() => Err(AttemptError::ForbiddenAddress),
        Err(_) => Err(AttemptError::Dns),
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
