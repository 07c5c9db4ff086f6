//! What users have asked for and were promised: every answer that the product must keep.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{
    account::AccountId,
    id::{DeliveryId, EventId, RecoveryId, WebhookId},
};
use serde_json::Value;

/// All promises, in the order of their answers, and all recoveries, in the order of their requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) published: Vec<Published>,
    pub(crate) produced: Vec<Produced>,
    pub(crate) recoveries: Vec<Recovery>,
    /// What users have read of recoveries.
    pub(crate) readings: Vec<Reading>,
    /// Answered rotations with an idempotency key.
    pub(crate) rotated: Vec<Rotated>,
    /// Requests that finish a rotation.
    pub(crate) finished: Vec<Finished>,
    /// Accepted tests.
    pub(crate) tested: Vec<DeliveryRequest>,
    /// Accepted manual retries.
    pub(crate) retried: Vec<DeliveryRequest>,
    /// Cancels, answered or not.
    pub(crate) cancelled: Vec<Cancelled>,
    /// Exchanges of the codes of links to the portal, answered or not.
    pub(crate) exchanges: Vec<Exchange>,
    /// What sessions of the portal have shown.
    pub(crate) sights: Vec<Sight>,
    /// The webhook that is polled, if there is one.
    pub(crate) polled: Option<PolledWebhook>,
    /// Webhooks that were registered with a 201, but for the polled one.
    pub(crate) webhooks: Vec<(AccountId, WebhookId)>,
}

/// An event that was accepted with a 202.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) account: AccountId,
    pub(crate) id: EventId,
    pub(crate) event_type: String,
    pub(crate) payload: Bytes,
    /// The payload as it was answered, with warnings if there were any.
    pub(crate) answer: Bytes,
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
    pub(crate) include_failed: bool,
    pub(crate) backfill: bool,
    /// Whether it was accepted with a 202. Without one, the recovery may still have begun.
    pub(crate) promised: bool,
}

/// A recovery as it was shown to a user.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) id: RecoveryId,
    pub(crate) began_ms: i64,
    pub(crate) answered_ms: i64,
    pub(crate) shown: Value,
}

/// A rotation with an idempotency key that was answered with a 200.
#[derive(Clone, Debug)]
pub(crate) struct Rotated {
    pub(crate) webhook: WebhookId,
    pub(crate) key: String,
    pub(crate) began_ms: i64,
    pub(crate) answered_ms: i64,
    /// Whether the answer had the header `Idempotent-Replayed`.
    pub(crate) replayed: bool,
    pub(crate) secret: String,
    pub(crate) body: Bytes,
}

/// A request that ends the overlap of a rotation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) webhook: WebhookId,
    pub(crate) began_ms: i64,
    /// When the 200 arrived. Without one, the overlap may still have ended.
    pub(crate) answered_ms: Option<i64>,
}

/// An accepted request for one attempt of a delivery: a test or a manual retry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliveryRequest {
    pub(crate) delivery: DeliveryId,
    pub(crate) began_ms: i64,
}

/// A request to cancel a delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancelled {
    pub(crate) delivery: DeliveryId,
    /// When the 200 arrived. Without one, the delivery may be cancelled all the same.
    pub(crate) answered_ms: Option<i64>,
}

/// An exchange of the code of a link to the portal.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) code: String,
    /// When the link expires.
    pub(crate) until_ms: i64,
    pub(crate) began_ms: i64,
    /// When the answer arrived, or when it was known that there is none.
    pub(crate) answered_ms: i64,
    /// Whether it has begun a session: the answer was a 201.
    pub(crate) has_begun: bool,
}

/// An answer to the list of webhooks, asked for with the token of a session.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) began_ms: i64,
    pub(crate) answered_ms: i64,
    /// When the session expires.
    pub(crate) until_ms: i64,
    /// When the session was ended, if that was answered before the request.
    pub(crate) ended_ms: Option<i64>,
    pub(crate) bound_to: Option<WebhookId>,
    pub(crate) status: u16,
    pub(crate) webhooks: Vec<WebhookId>,
}

/// A webhook that a client polls, and what the client has received.
#[derive(Clone, Debug)]
pub(crate) struct PolledWebhook {
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    /// When the client began with what appears from then on. `None` if it began with the registration.
    pub(crate) from_ms: Option<i64>,
    pub(crate) received: Vec<PolledRequest>,
}

/// A request that a client has polled.
#[derive(Clone, Debug)]
pub(crate) struct PolledRequest {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}
