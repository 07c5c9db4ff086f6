//! The one guard and the one HTTP client for everything that is sent to a receiver.
//!
//! A webhook's URL comes from a user, and the worker that posts to it runs beside credentials and private networks. So
//! every outgoing request passes the same guard twice:
//! - at registration, [`EndpointPolicy::judge_url`] judges what the URL itself shows: scheme, credentials, a literal
//!   address in any notation, a name that cannot be public;
//! - at every dial, the client's own resolver judges each address that the name has now, and exactly the addresses that
//!   were judged are dialled, so a name that changes its answer between the two gains nothing.
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` | which IP addresses are public |
//! | `url.rs` | the policy on URLs |
//! | `resolver.rs` | DNS answers, judged |
//! | `lookups.rs` | name look-ups, on threads of their own |
//! | `admission.rs` | how many requests are under way, in all and to one target |
//! | `client.rs` | the request, bounded in time and bytes |
//! | `error.rs` | what can go wrong, as stable codes |
//! | `excerpt.rs` | what is kept of a receiver's answer |
//! | `roots.rs` | whose certificates are believed |
//! | `retry_after.rs` | `Retry-After` in all its forms |
//! | `transport.rs` | the network, or a simulation in its place |
//!
//! What must not live here: what a delivery is, when it is retried, how it is signed. The caller makes the headers and
//! the body, and decides what an [`Answer`] means.

mod address;
mod admission;
mod client;
mod error;
mod excerpt;
mod lookups;
mod resolver;
mod retry_after;
mod roots;
mod transport;
mod url;

#[cfg(feature = "simulation")]
pub use self::transport::Receive;
pub use self::{
    admission::Bounds,
    client::{Admitted, Answer, EndpointClient},
    error::{BuildError, PostError},
    retry_after::RetryAfter,
    url::{EndpointPolicy, EndpointUrl, UnreadableUrl},
};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod notations_tests;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod tls_tests;
