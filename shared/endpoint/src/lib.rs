//! The HTTP client for requests to receivers, and the guard that every such request passes. Hookline has no other client for
//! receivers.
//!
//! A webhook's URL comes from a user, and the function that posts to it runs beside credentials and private networks. So the
//! endpoint policy is applied twice:
//! - At registration, [`judge_url`](domain::endpoint_policy::EndpointPolicy::judge_url) checks what the URL itself shows: the
//!   scheme, credentials, a literal address in any notation, a name that cannot be public.
//! - At every dial, the client's resolver checks each address that the name has now. The client dials only addresses that were
//!   checked, so an attacker gains nothing by changing the addresses of a name (DNS rebinding).
//!
//! | file | holds |
//! |---|---|
//! | `endpoint_policy.rs`, in `shared/domain` | the policy: which URLs and addresses are allowed |
//! | `address.rs`, in `shared/domain` | which IP addresses are public |
//! | `client.rs` | the request, bounded in time and bytes |
//! | `resolver.rs` | DNS answers, checked by the policy |
//! | `lookups.rs` | name lookups, on threads of their own |
//! | `admission.rs` | bounds on the requests under way, in all and to one target |
//! | `dial.rs` | whether a request dialled a connection of its own |
//! | `transport.rs` | the network, or a simulation in its place |
//! | `error.rs` | the HTTP stack's errors, as stable codes |
//! | `excerpt.rs` | the part of a receiver's answer that is kept |
//! | `roots.rs` | the root certificates that are trusted |
//! | `retry_after.rs` | `Retry-After` in all its forms |
//!
//! What a delivery is, when it is retried and how it is signed does not belong here. The caller makes the headers and the
//! body, and decides what an [`Answer`] means.

mod admission;
mod client;
mod dial;
mod error;
mod excerpt;
mod lookups;
mod resolver;
mod retry_after;
mod roots;
mod transport;

#[cfg(feature = "simulation")]
pub use self::transport::Receive;
pub use self::{
    admission::Bounds,
    client::{Admitted, Answer, EndpointClient, WholeAnswer},
    error::BuildError,
    retry_after::RetryAfter,
};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod notations_tests;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod tls_tests;
