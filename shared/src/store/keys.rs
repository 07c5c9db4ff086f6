//! Every key of every table. The account is part of each partition key, so a key made for one account can never name
//! another's item, whatever id a caller sends.
//!
//! | table | partition | sort |
//! |---|---|---|
//! | Webhooks | `account` = account | `id` = `wh_…` |
//! | Webhooks | `account` = account | `id` = `deleted#wh_…` |
//! | Webhooks | `account` = `#quota#<account>` | `id` = `webhooks` |
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

/// How many webhooks an account has.
pub fn webhook_count(account: &AccountId) -> Item {
    key(ACCOUNT, format!("#quota#{account}"), "webhooks")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::TokenId, time::Timestamp};
    use proptest::prelude::*;

    /// Everything that a key stands for.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Thing {
        Webhook(AccountId, WebhookId),
        DeletedWebhook(AccountId, WebhookId),
        WebhookCount(AccountId),
        EventType(String),
        Token(TokenId),
        TokenByHash(String),
        Pace(AccountId, WebhookId),
        PublishPace(AccountId),
        Event(AccountId, EventId),
        Idempotency(AccountId, String),
        Delivery(AccountId, DeliveryId),
    }

    impl Thing {
        /// The table that it is in, and its key there.
        fn place(&self) -> (&'static str, Item) {
            match self {
                Self::Webhook(account, id) => ("webhooks", webhook(account, *id)),
                Self::DeletedWebhook(account, id) => ("webhooks", deleted_webhook(account, *id)),
                Self::WebhookCount(account) => ("webhooks", webhook_count(account)),
                Self::EventType(name) => ("webhooks", event_type(name)),
                Self::Token(id) => ("webhooks", token(id)),
                Self::TokenByHash(hash) => ("webhooks", token_by_hash(hash)),
                Self::Pace(account, id) => ("webhooks", pace(account, *id)),
                Self::PublishPace(account) => ("webhooks", publish_pace(account)),
                Self::Event(account, id) => ("events", event(account, *id)),
                Self::Idempotency(account, hash) => ("events", idempotency(account, hash)),
                Self::Delivery(account, id) => ("deliveries", delivery(account, *id)),
            }
        }
    }

    /// Accounts of the words that our keys are made of, few enough to meet each other.
    fn account() -> impl Strategy<Value = AccountId> {
        let words = [
            "a",
            "key",
            "pace",
            "token",
            "tokens",
            "event-types",
            "quota",
            "deleted",
            "publish",
            "0",
            "7",
            "wh_1",
            "evt_1",
        ];
        let name = prop::collection::vec(prop::sample::select(words.to_vec()), 1..3).prop_map(|words| words.join("-"));
        name.prop_map(|name| name.parse().expect("a name"))
    }

    /// One of a few ids.
    fn made(seed: u8) -> (WebhookId, EventId, TokenId) {
        let (at, seed) = (Timestamp::from_unix_ms(1_739_874_600_000), [seed % 4]);
        (WebhookId::derived(at, &seed), EventId::derived(at, &seed), TokenId::derived(at, &seed))
    }

    fn thing() -> impl Strategy<Value = Thing> {
        let hash = prop::sample::select(vec!["0", "00", "key", "ab"]).prop_map(str::to_owned);
        let name = prop::sample::select(vec!["a.b", "wh_1.x", "deleted.y", "publish.z"]).prop_map(str::to_owned);
        (0_u8..11, account(), any::<u8>(), any::<u8>(), hash, name).prop_map(
            |(kind, account, one, other, hash, name)| {
                let ((webhook, event, token), (of_other, ..)) = (made(one), made(other));
                match kind {
                    0 => Thing::Webhook(account, webhook),
                    1 => Thing::DeletedWebhook(account, webhook),
                    2 => Thing::EventType(name),
                    3 => Thing::Token(token),
                    4 => Thing::TokenByHash(hash),
                    5 => Thing::Pace(account, webhook),
                    6 => Thing::PublishPace(account),
                    7 => Thing::Event(account, event),
                    8 => Thing::Idempotency(account, hash),
                    9 => Thing::WebhookCount(account),
                    _ => Thing::Delivery(account, DeliveryId { event, webhook: of_other }),
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn no_two_things_share_a_key(one in thing(), other in thing()) {
            prop_assert_eq!(one == other, one.place() == other.place(), "{:?} {:?}", one, other);
        }

        #[test]
        fn what_is_listed_is_in_a_partition_of_the_list(account in account(), seed: u8, other: u8) {
            let ((_, event_id, _), (webhook, ..)) = (made(seed), made(other));
            let is_in = |item: Item, partitions: Vec<String>| {
                partitions.iter().any(|partition| item.get(PARTITION) == Some(&text(partition)))
            };
            prop_assert!(is_in(event(&account, event_id), event_partitions(&account)));
            let id = DeliveryId { event: event_id, webhook };
            prop_assert!(is_in(delivery(&account, id), delivery_partitions(&account, webhook)));
        }
    }
}
