//! Every key of every table. The key of an account's item always contains the account, so a key made for one account can never
//! name another account's item, whatever id a caller sends.
//!
//! | table | partition | sort |
//! |---|---|---|
//! | Webhooks | `account` = account | `id` = `wh_…` |
//! | Webhooks | `account` = account | `id` = `deleted#wh_…` |
//! | Webhooks | `account` = `#quota#<account>` | `id` = `webhooks` |
//! | Webhooks | `account` = `#recoveries#<account>#<wh_…>` | `id` = `rcv_…` |
//! | Webhooks | `account` = `#event-types` | `id` = name |
//! | Webhooks | `account` = `#tokens` | `id` = `tok_…` |
//! | Webhooks | `account` = `#token#<SHA-256>` | `id` = `token` |
//! | Webhooks | `account` = `#session#<SHA-256>` | `id` = `session` |
//! | Webhooks | `account` = `#portal#<SHA-256>` | `id` = `link` |
//! | Webhooks | `account` = `#pace#<account>#<wh_…>` | `id` = `pace` |
//! | Webhooks | `account` = `#pace#<account>` | `id` = `publish` |
//! | Webhooks | `account` = `#pace#<account>` | `id` = `diagnose` |
//! | Events | `partition` = `<account>#<shard>` | `id` = `evt_…` |
//! | Events | `partition` = `<account>#late` | `id` = `evt_…` |
//! | Events | `partition` = `<account>#key#<SHA-256>` | `id` = `key` |
//! | Deliveries | `partition` = `<account>#<wh_…>#<shard>` | `id` = `evt_…` |
//!
//! `pace` is the earlier word for a rate limit. Stored items have it.
//!
//! An account's name contains no `#`, so no account has the name of a reserved partition.

use crate::item::{Item, text};
use domain::{
    account::AccountId,
    id::{DeliveryId, EventId, RecoveryId, WebhookId},
};

/// The number of shards that one account's events, or one webhook's deliveries, are spread over.
pub const SHARDS: u64 = 8;

fn key(partition_name: &str, partition: String, id: impl ToString) -> Item {
    [(partition_name.to_owned(), text(partition)), ("id".to_owned(), text(id))].into()
}

/// Returns the shard of an event.
pub(crate) fn shard(event: EventId) -> u64 {
    event.spread() % SHARDS
}

/// The name of the partition key in Webhooks.
pub const ACCOUNT: &str = "account";
/// The name of the partition key in Events and Deliveries.
pub const PARTITION: &str = "partition";
/// The name of the sort key in every table.
pub const ID: &str = "id";
/// The name of the attribute that says when DynamoDB may delete an item, in seconds since the Unix epoch.
pub const EXPIRES_AT: &str = "expires_at";
/// The partition of custom event types.
pub const EVENT_TYPES: &str = "#event-types";
/// The partition that lists tokens.
pub const TOKENS: &str = "#tokens";

/// Returns the key of a webhook.
pub fn webhook(account: &AccountId, id: WebhookId) -> Item {
    key(ACCOUNT, account.to_string(), id)
}

/// The prefix of the sort keys that mark deleted webhooks.
pub const DELETED: &str = "deleted#";

/// Returns the key of the marker that a webhook was deleted.
pub fn deleted_webhook(account: &AccountId, id: WebhookId) -> Item {
    key(ACCOUNT, account.to_string(), format!("{DELETED}{id}"))
}

/// Returns the key of the counter of an account's webhooks.
pub fn webhook_count(account: &AccountId) -> Item {
    key(ACCOUNT, format!("#quota#{account}"), "webhooks")
}

/// Returns the partition of a webhook's recoveries.
pub fn recoveries(account: &AccountId, webhook: WebhookId) -> String {
    format!("#recoveries#{account}#{webhook}")
}

/// Returns the key of a recovery.
pub fn recovery(account: &AccountId, webhook: WebhookId, id: RecoveryId) -> Item {
    key(ACCOUNT, recoveries(account, webhook), id)
}

/// Returns the key of a custom event type.
pub fn event_type(name: &str) -> Item {
    key(ACCOUNT, EVENT_TYPES.to_owned(), name)
}

/// Returns the key of a token in the list of tokens.
pub fn token(id: impl ToString) -> Item {
    key(ACCOUNT, TOKENS.to_owned(), id)
}

/// Returns the key of a token that is looked up by its SHA-256, in hex.
pub fn token_by_hash(hash: &str) -> Item {
    key(ACCOUNT, format!("#token#{hash}"), "token")
}

/// Returns the key of a session of the portal that is looked up by the SHA-256 of its token, in hex.
pub fn session(hash: &str) -> Item {
    key(ACCOUNT, format!("#session#{hash}"), "session")
}

/// Returns the key of a link to the portal that is looked up by the SHA-256 of its code, in hex.
pub fn portal_link(hash: &str) -> Item {
    key(ACCOUNT, format!("#portal#{hash}"), "link")
}

/// Returns the key of a webhook's rate limit. It is a partition of its own, because a busy webhook's is written often.
pub fn rate_limit(account: &AccountId, webhook: WebhookId) -> Item {
    key(ACCOUNT, format!("#pace#{account}#{webhook}"), "pace")
}

/// Returns the key of an account's publish limit.
pub fn publish_limit(account: &AccountId) -> Item {
    key(ACCOUNT, format!("#pace#{account}"), "publish")
}

/// Returns the key of an account's limit of diagnoses.
pub fn diagnosis_limit(account: &AccountId) -> Item {
    key(ACCOUNT, format!("#pace#{account}"), "diagnose")
}

/// Returns the key of an event.
pub fn event(account: &AccountId, id: EventId) -> Item {
    key(PARTITION, format!("{account}#{}", shard(id)), id)
}

/// Returns the partitions of an account's events.
pub fn event_partitions(account: &AccountId) -> Vec<String> {
    (0..SHARDS).map(|shard| format!("{account}#{shard}")).collect()
}

/// Returns the partition of the markers of an account's late events.
pub fn late_events(account: &AccountId) -> String {
    format!("{account}#late")
}

/// Returns the key of the marker `id` of a late event.
pub fn late_event(account: &AccountId, id: EventId) -> Item {
    key(PARTITION, late_events(account), id)
}

/// Returns the key of an idempotency key that is looked up by its SHA-256, in hex.
pub fn idempotency(account: &AccountId, hash: &str) -> Item {
    key(PARTITION, format!("{account}#key#{hash}"), "key")
}

/// Returns the key of `id` in a partition of Events or Deliveries.
pub fn at(partition: &str, id: EventId) -> Item {
    key(PARTITION, partition.to_owned(), id)
}

/// Returns the key of a delivery.
pub fn delivery(account: &AccountId, id: DeliveryId) -> Item {
    key(PARTITION, format!("{account}#{}#{}", id.webhook, shard(id.event)), id.event)
}

/// Returns the partitions of a webhook's deliveries.
pub fn delivery_partitions(account: &AccountId, webhook: WebhookId) -> Vec<String> {
    (0..SHARDS).map(|shard| format!("{account}#{webhook}#{shard}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{id::TokenId, time::Timestamp};
    use proptest::prelude::*;

    /// An item, by the values that its key is made of.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Stored {
        Webhook(AccountId, WebhookId),
        DeletedWebhook(AccountId, WebhookId),
        WebhookCount(AccountId),
        Recovery(AccountId, WebhookId, RecoveryId),
        EventType(String),
        Token(TokenId),
        TokenByHash(String),
        Session(String),
        PortalLink(String),
        RateLimit(AccountId, WebhookId),
        PublishLimit(AccountId),
        DiagnosisLimit(AccountId),
        Event(AccountId, EventId),
        LateEvent(AccountId, EventId),
        Idempotency(AccountId, String),
        Delivery(AccountId, DeliveryId),
    }

    impl Stored {
        /// Returns the item's table and its key there.
        fn location(&self) -> (&'static str, Item) {
            match self {
                Self::Webhook(account, id) => ("webhooks", webhook(account, *id)),
                Self::DeletedWebhook(account, id) => ("webhooks", deleted_webhook(account, *id)),
                Self::WebhookCount(account) => ("webhooks", webhook_count(account)),
                Self::Recovery(account, webhook, id) => ("webhooks", recovery(account, *webhook, *id)),
                Self::EventType(name) => ("webhooks", event_type(name)),
                Self::Token(id) => ("webhooks", token(id)),
                Self::TokenByHash(hash) => ("webhooks", token_by_hash(hash)),
                Self::Session(hash) => ("webhooks", session(hash)),
                Self::PortalLink(hash) => ("webhooks", portal_link(hash)),
                Self::RateLimit(account, id) => ("webhooks", rate_limit(account, *id)),
                Self::PublishLimit(account) => ("webhooks", publish_limit(account)),
                Self::DiagnosisLimit(account) => ("webhooks", diagnosis_limit(account)),
                Self::Event(account, id) => ("events", event(account, *id)),
                Self::LateEvent(account, id) => ("events", late_event(account, *id)),
                Self::Idempotency(account, hash) => ("events", idempotency(account, hash)),
                Self::Delivery(account, id) => ("deliveries", delivery(account, *id)),
            }
        }
    }

    /// Account names made of the words that keys are made of, few enough to be equal now and then.
    fn account() -> impl Strategy<Value = AccountId> {
        let words = [
            "a",
            "key",
            "late",
            "pace",
            "token",
            "tokens",
            "event-types",
            "quota",
            "recoveries",
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

    /// Returns the ids of a seed. There are four of each kind.
    fn ids(seed: u8) -> (WebhookId, EventId, TokenId) {
        let (at, seed) = (Timestamp::from_unix_ms(1_739_874_600_000), [seed % 4]);
        (WebhookId::derived(at, &seed), EventId::derived(at, &seed), TokenId::derived(at, &seed))
    }

    fn item() -> impl Strategy<Value = Stored> {
        let hash = prop::sample::select(vec!["0", "00", "key", "ab"]).prop_map(str::to_owned);
        let name = prop::sample::select(vec!["a.b", "wh_1.x", "deleted.y", "publish.z"]).prop_map(str::to_owned);
        (0_u8..16, account(), any::<u8>(), any::<u8>(), hash, name).prop_map(
            |(kind, account, one, other, hash, name)| {
                let ((webhook, event, token), (of_other, ..)) = (ids(one), ids(other));
                match kind {
                    0 => Stored::Webhook(account, webhook),
                    1 => Stored::DeletedWebhook(account, webhook),
                    2 => Stored::EventType(name),
                    3 => Stored::Token(token),
                    4 => Stored::TokenByHash(hash),
                    5 => Stored::RateLimit(account, webhook),
                    6 => Stored::PublishLimit(account),
                    12 => Stored::DiagnosisLimit(account),
                    13 => Stored::Session(hash),
                    14 => Stored::PortalLink(hash),
                    7 => Stored::Event(account, event),
                    11 => Stored::LateEvent(account, event),
                    8 => Stored::Idempotency(account, hash),
                    9 => Stored::WebhookCount(account),
                    10 => Stored::Recovery(account, webhook, RecoveryId::derived(event.made_at(), &[other % 4])),
                    _ => Stored::Delivery(account, DeliveryId { event, webhook: of_other }),
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn no_two_items_share_a_key(one in item(), other in item()) {
            prop_assert_eq!(one == other, one.location() == other.location(), "{:?} {:?}", one, other);
        }

        #[test]
        fn events_and_deliveries_are_in_the_partitions_that_lists_read(account in account(), seed: u8, other: u8) {
            let ((_, event_id, _), (webhook, ..)) = (ids(seed), ids(other));
            let is_in = |item: Item, partitions: Vec<String>| {
                partitions.iter().any(|partition| item.get(PARTITION) == Some(&text(partition)))
            };
            prop_assert!(is_in(event(&account, event_id), event_partitions(&account)));
            let id = DeliveryId { event: event_id, webhook };
            prop_assert!(is_in(delivery(&account, id), delivery_partitions(&account, webhook)));
        }
    }
}
