//! Every key of every table. The account is part of each partition key, so a key made for one account can never name
//! another's item, whatever id a caller sends.
//!
//! | table | partition | sort |
//! |---|---|---|
//! | Webhooks | `account` = account | `id` = `wh_…` |
//! | Webhooks | `account` = account | `id` = `deleted#wh_…` |
//! | Webhooks | `account` = `#event-types` | `id` = name |
//! | Webhooks | `account` = `#tokens` | `id` = `tok_…` |
//! | Webhooks | `account` = `#token#<SHA-256>` | `id` = `token` |
//! | Webhooks | `account` = `#pace#<account>#<wh_…>` | `id` = `pace` |
//! | Webhooks | `account` = `#pace#<account>` | `id` = `publish` |
//! | Events | `partition` = `<account>#<shard>` | `id` = `evt_…` |
//! | Events | `partition` = `<account>#key#<SHA-256>` | `id` = `key` |
//! | Deliveries | `partition` = `<account>#<wh_…>#<shard>` | `id` = `evt_…` |
//!
//! An account's name holds no `#`, so the reserved partitions cannot be anybody's.

use super::{Item, text};
use crate::id::{AccountId, DeliveryId, EventId, WebhookId};

/// Shards that one account's events, or one webhook's deliveries, are spread over.
pub const SHARDS: u64 = 8;

fn key(partition_name: &str, partition: String, id: impl ToString) -> Item {
    [(partition_name.to_owned(), text(partition)), ("id".to_owned(), text(id))].into()
}

fn shard(event: EventId) -> u64 {
    event.spread() % SHARDS
}

/// The partition key's name in Webhooks.
pub const ACCOUNT: &str = "account";
/// The partition key's name in Events and Deliveries.
pub const PARTITION: &str = "partition";
/// The sort key's name in every table.
pub const ID: &str = "id";
/// When DynamoDB may delete an item, in seconds since the Unix epoch.
pub const EXPIRES_AT: &str = "expires_at";
/// The partition of custom event types.
pub const EVENT_TYPES: &str = "#event-types";
/// The partition that lists tokens.
pub const TOKENS: &str = "#tokens";

/// A webhook.
pub fn webhook(account: &AccountId, id: WebhookId) -> Item {
    key(ACCOUNT, account.to_string(), id)
}

/// What all ids of webhooks that were deleted begin with.
pub const DELETED: &str = "deleted#";

/// That a webhook was deleted.
pub fn deleted_webhook(account: &AccountId, id: WebhookId) -> Item {
    key(ACCOUNT, account.to_string(), format!("{DELETED}{id}"))
}

/// A custom event type.
pub fn event_type(name: &str) -> Item {
    key(ACCOUNT, EVENT_TYPES.to_owned(), name)
}

/// A token in the list of tokens.
pub fn token(id: impl ToString) -> Item {
    key(ACCOUNT, TOKENS.to_owned(), id)
}

/// A token, found by its SHA-256 in hex.
pub fn token_by_hash(hash: &str) -> Item {
    key(ACCOUNT, format!("#token#{hash}"), "token")
}

/// What paces a webhook's deliveries: a partition of its own, since a busy one is written often.
pub fn pace(account: &AccountId, webhook: WebhookId) -> Item {
    key(ACCOUNT, format!("#pace#{account}#{webhook}"), "pace")
}

/// What paces an account's publications.
pub fn publish_pace(account: &AccountId) -> Item {
    key(ACCOUNT, format!("#pace#{account}"), "publish")
}

/// An event.
pub fn event(account: &AccountId, id: EventId) -> Item {
    key(PARTITION, format!("{account}#{}", shard(id)), id)
}

/// The partitions of an account's events.
pub fn event_partitions(account: &AccountId) -> Vec<String> {
    (0..SHARDS).map(|shard| format!("{account}#{shard}")).collect()
}

/// An idempotency key, found by its SHA-256 in hex.
pub fn idempotency(account: &AccountId, hash: &str) -> Item {
    key(PARTITION, format!("{account}#key#{hash}"), "key")
}

/// The place of `id` in a partition of Events or Deliveries.
pub fn at(partition: &str, id: EventId) -> Item {
    key(PARTITION, partition.to_owned(), id)
}

/// A delivery.
pub fn delivery(account: &AccountId, id: DeliveryId) -> Item {
    key(PARTITION, format!("{account}#{}#{}", id.webhook, shard(id.event)), id.event)
}

/// The partitions of a webhook's deliveries.
pub fn delivery_partitions(account: &AccountId, webhook: WebhookId) -> Vec<String> {
    (0..SHARDS).map(|shard| format!("{account}#{webhook}#{shard}")).collect()
}
