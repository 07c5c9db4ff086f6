//! Access to AWS: the tables, the queues and the schedules.
//!
//! | module | holds |
//! |---|---|
//! | [`keys`] | every key of every table, in one place |
//! | [`webhooks`], [`events`], [`deliveries`], [`event_types`], [`tokens`], [`portal_links`], [`idempotency`], [`recoveries`] | one item type each |
//! | [`rate_limits`], [`account_limits`] | the counters that limit how fast a webhook receives, and how fast an account publishes and debugs |
//! | `quota` | the counter of an account's webhooks |
//! | [`shards`] | lists that merge the shards of events or deliveries |
//! | [`event_log`] | the log of an account's events as polls read it |
//! | [`subjects`] | what the tasks of a batch are about |
//! | [`event_cache`], `found_types` | the events and the custom event types that a process keeps in memory |
//! | `tables`, `item`, `batch_get` | DynamoDB's client and settings; reading and writing items |
//! | [`capacity`] | the read and write units that calls consume |
//! | [`queues`], [`tasks`], [`jobs`], [`schedules`] | SQS and EventBridge Scheduler |
//! | [`aws`] | the SDK's configuration, timeouts and HTTP client |
//!
//! Each function is one access pattern. A condition that fails is a named outcome, not an error.

pub mod account_limits;
pub mod aws;
mod batch_get;
pub mod capacity;
pub mod deliveries;
pub mod event_cache;
pub mod event_log;
pub mod event_types;
pub mod events;
mod found_types;
pub mod idempotency;
mod item;
pub mod jobs;
pub mod keys;
pub mod portal_links;
pub mod queues;
mod quota;
pub mod rate_limits;
pub mod recoveries;
pub mod schedules;
pub mod shards;
pub mod subjects;
mod tables;
pub mod tasks;
pub mod tokens;
pub mod webhooks;

pub use aws::{Clients, Lazy, SettingError};
pub use item::{Item, StoreError};
pub use queues::{QueueError, QueueSettings, Queues};
pub use tables::{Store, TableSettings};
