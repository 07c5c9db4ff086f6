//! Hookline's library: the domain, and its AWS side.
//!
//! | module | holds | does I/O |
//! |---|---|---|
//! | [`id`], [`time`], [`random`] | names, moments, randomness as values | no |
//! | [`webhook`], [`event_type`], [`event`], [`secret`] | what users make | no |
//! | [`delivery`], [`schedule`], [`signature`] | what decides how a delivery goes on | no |
//! | [`rate_limit`] | what decides when a rate-limited task may go on | no |
//! | [`answer`] | how large an answer may be | no |
//! | [`input`] | bodies from outside, field by field | no |
//! | [`endpoint`] | the guard and the client of every outgoing request | receivers |
//! | [`store`] | the tables | DynamoDB |
//! | [`queue`] | wake-ups and jobs | SQS, EventBridge Scheduler |
//! | [`publishing`] | from an event to its wake-ups | through the two above |
//! | [`disabling`] | telling of a webhook that was disabled | through the same |
//! | [`app`], [`config`], [`aws`] | what every handler works with | starting up |
//! | [`log`], [`metrics`] | what is told of it all | standard error |

pub mod answer;
pub mod app;
pub mod aws;
pub mod config;
pub mod delivery;
pub mod disabling;
pub mod endpoint;
pub mod event;
pub mod event_type;
pub mod id;
pub mod input;
pub mod log;
pub mod metrics;
#[cfg(feature = "openapi")]
mod openapi;
pub mod publishing;
pub mod queue;
pub mod random;
pub mod rate_limit;
pub mod schedule;
pub mod secret;
pub mod signature;
pub mod store;
pub mod time;
pub mod webhook;

/// Hookline's version, as deliveries name it in `User-Agent`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
