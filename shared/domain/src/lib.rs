//! Hookline's domain: its types and every decision, without I/O. Time and randomness arrive as values. The crate depends on no
//! async runtime, HTTP client or AWS crate, so the compiler enforces this.
//!
//! | module | holds |
//! |---|---|
//! | [`account`], [`id`], [`token`] | accounts, ids and API tokens |
//! | [`time`], [`random`] | moments, the clock, and randomness |
//! | [`event`], [`event_type`] | events and the catalogue of their types |
//! | [`trace`] | the trace of a publication |
//! | [`filter`] | which events a webhook's filter matches |
//! | [`schema`], [`findings`] | JSON Schemas of event types; what the catalogue has against a request's events |
//! | [`answer`] | the size of an answer |
//! | [`digest`] | the digest of several texts |
//! | [`cost`] | what AWS bills for a piece of work, and the table of prices |
//! | [`webhook`] | webhooks: subscriptions, disabling, recovery, rotation, options |
//! | [`delivery`] | the state machine of a delivery |
//! | [`backoff`], [`rate_limit`] | when the next attempt is due, and when a rate-limited one may be made |
//! | [`secret`], [`signature`] | what signs a delivery, and how |
//! | [`diagnosis`] | why the signatures of a received request hold or do not hold |
//! | [`credential`] | passwords, tokens and header values, which are sent but never shown |
//! | [`endpoint_policy`] | the URLs and IP addresses that deliveries may be sent to (SSRF); `address.rs` lists the addresses |
//! | [`recovery`] | a recovery as it is requested, stored and shown |
//! | [`brand`] | how the portal presents itself |
//! | [`portal`] | links to the portal, and the sessions that they begin |
//! | [`polling`] | reading a webhook's events page by page, at the client's own position |
//! | [`job`] | the work that Hookline enqueues for its own `publish` function |
//! | [`input`] | JSON bodies from outside, field by field |
//! | [`page`] | one page of a list |
//! | `openapi.rs` | schemas for the OpenAPI document |

pub mod account;
mod address;
pub mod allowed_origins;
pub mod answer;
pub mod backoff;
pub mod brand;
pub mod cost;
pub mod credential;
pub mod delivery;
pub mod diagnosis;
pub mod digest;
pub mod endpoint_policy;
pub mod event;
pub mod event_type;
pub mod filter;
pub mod findings;
pub mod id;
pub mod input;
pub mod job;
#[cfg(feature = "openapi")]
mod openapi;
pub mod page;
pub mod polling;
pub mod portal;
pub mod random;
pub mod rate_limit;
pub mod recovery;
pub mod schema;
pub mod secret;
pub mod signature;
pub mod time;
pub mod token;
pub mod trace;
pub mod webhook;

/// Hookline's version, which deliveries send in `User-Agent`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
