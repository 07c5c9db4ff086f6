//! A client of the public HTTP API, with one method for each of its operations.
//!
//! | file | holds |
//! |---|---|
//! | `operation.rs` | the routes |
//! | `call.rs` | one request: ids, query, body, idempotency key |
//! | `transport.rs` | sending: headers, time limits, and repeating what is safe to repeat |
//! | `answer.rs` | an answer: its value, and the server's own JSON |
//! | `error.rs` | why there is no answer, and what to do next |
//! | `page.rs` | pages of lists |
//! | `webhooks.rs`, `events.rs`, … | the operations of a resource, with their requests and answers |
//!
//! The answers' types have the members that the commands read. Everything else is in the server's JSON, which is kept.

pub(crate) mod answer;
mod call;
pub(crate) mod deliveries;
pub(crate) mod error;
pub(crate) mod event_types;
pub(crate) mod events;
pub(crate) mod operation;
pub(crate) mod page;
pub(crate) mod portal;
pub(crate) mod service;
pub(crate) mod signatures;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
mod transport;
pub(crate) mod webhooks;

pub(crate) use answer::Answer;
pub(crate) use error::Error;
pub(crate) use transport::Client;
