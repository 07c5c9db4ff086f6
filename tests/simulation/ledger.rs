//! What users have asked for and been promised: every answer that says something of the future.

use bytes::Bytes;
use hookline::id::{AccountId, DeliveryId, EventId, WebhookId};

/// All promises, in the order of their answers, and all recoveries, in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) published: Vec<Published>,
    pub(crate) produced: Vec<Produced>,
    pub(crate) recoveries: Vec<Recovery>,
    /// Deliveries that a test was accepted for.
    pub(crate) tested: Vec<Asked>,
    /// Deliveries that a retry was accepted for.
    pub(crate) retried: Vec<Asked>,
    /// Webhooks whose registration was answered.
    pub(crate) webhooks: Vec<(AccountId, WebhookId)>,
}

/// An event that a 202 was given for.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) account: AccountId,
    pub(crate) id: EventId,
    pub(crate) event_type: String,
    pub(crate) payload: Bytes,
    /// When the request that was answered began, and when its answer came.
    pub(crate) began_ms: i64,
    pub(crate) answered_ms: i64,
    pub(crate) key: Option<Key>,
    pub(crate) replayed: bool,
}

/// An idempotency key of one user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// When it was first used, since it was last free.
    pub(crate) first_ms: i64,
}

/// An event that a producer in AWS put on the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Produced {
    /// What the event's object says of itself; no two have the same.
    pub(crate) number: i64,
}

/// A recovery that was asked for, of everything from `since_ms` until it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) webhook: WebhookId,
    pub(crate) since_ms: i64,
    pub(crate) began_ms: i64,
    /// Whether a 202 was given for it: without one it may have begun all the same.
    pub(crate) promised: bool,
}

/// Something that was asked for a delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) delivery: DeliveryId,
    pub(crate) began_ms: i64,
}
