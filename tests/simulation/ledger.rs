//! What users have asked for and were promised: every answer that the product must keep.

use bytes::Bytes;
use domain::{
    account::AccountId,
    id::{DeliveryId, EventId, WebhookId},
};

/// All promises, in the order of their answers, and all recoveries, in the order of their requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) published: Vec<Published>,
    pub(crate) produced: Vec<Produced>,
    pub(crate) recoveries: Vec<Recovery>,
    /// Accepted tests.
    pub(crate) tested: Vec<DeliveryRequest>,
    /// Accepted manual retries.
    pub(crate) retried: Vec<DeliveryRequest>,
    /// Webhooks that were registered with a 201.
    pub(crate) webhooks: Vec<(AccountId, WebhookId)>,
}

/// An event that was accepted with a 202.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) account: AccountId,
    pub(crate) id: EventId,
    pub(crate) event_type: String,
    pub(crate) payload: Bytes,
    /// When the request began.
    pub(crate) began_ms: i64,
    /// When the answer arrived.
    pub(crate) answered_ms: i64,
    /// The idempotency key, if the request had one.
    pub(crate) key: Option<Key>,
    /// Whether the answer had the header `Idempotent-Replayed`.
    pub(crate) replayed: bool,
}

/// One use of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// When the key was first used since it last expired.
    pub(crate) first_ms: i64,
}

/// An event that a producer inside AWS put on the `events` queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Produced {
    /// The number in the event's object. Each event has another one.
    pub(crate) number: i64,
}

/// A request for a recovery of everything from `since_ms` until the request.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) webhook: WebhookId,
    pub(crate) since_ms: i64,
    pub(crate) began_ms: i64,
    /// Whether it was accepted with a 202. Without one, the recovery may still have begun.
    pub(crate) promised: bool,
}

/// An accepted request for one attempt of a delivery: a test or a manual retry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliveryRequest {
    pub(crate) delivery: DeliveryId,
    pub(crate) began_ms: i64,
}
