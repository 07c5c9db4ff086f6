//! Hookline's domain: its types and every decision, without I/O. Time and randomness arrive as values. The crate depends on no
//! async runtime, HTTP client or AWS crate, so the compiler enforces this.
//!
//! | module | holds |
//! |---|---|
//! | [`account`], [`id`], [`token`] | accounts, ids and API tokens |
//! | [`time`], [`random`] | moments, the clock, and randomness |
//! | [`event`], [`event_type`] | events and the catalogue of their types |
//! | [`answer`] | the size of an answer |
//! | [`webhook`] | webhooks: subscriptions, disabling, recovery, rotation |
//! | [`delivery`] | the state machine of a delivery |
//! | [`backoff`], [`rate_limit`] | when the next attempt is due, and when a rate-limited one may be made |
//! | [`secret`], [`signature`] | what signs a delivery, and how |
//! | [`endpoint_policy`] | the URLs and IP addresses that deliveries may be sent to (SSRF); `address.rs` lists the addresses |
//! | [`job`] | the work that Hookline enqueues for its own `publish` function |
//! | [`input`] | JSON bodies from outside, field by field |
//! | [`page`] | one page of a list |
//! | `openapi.rs` | schemas for the OpenAPI document |

pub mod account;
mod address;
pub mod answer;
pub mod backoff;
pub mod delivery;
pub mod endpoint_policy;
pub mod event;
pub mod event_type;
pub mod id;
pub mod input;
pub mod job;
#[cfg(feature = "openapi")]
mod openapi;
pub mod page;
pub mod random;
pub mod rate_limit;
pub mod secret;
pub mod signature;
pub mod time;
pub mod token;
pub mod webhook;

/// Hookline's version, which deliveries send in `User-Agent`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
