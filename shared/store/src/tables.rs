//! The tables: their client, their names, and the limits of their items.

use crate::found_types::FoundTypes;
use domain::{random::Random, time::Clock};
use std::time::Duration;

/// The tables, and what every access to them needs. Cloned freely: clones share connections.
#[derive(Clone, Debug)]
pub struct Store {
    /// The client of DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The names and limits of the tables.
    pub settings: TableSettings,
    /// The time.
    pub clock: Clock,
    /// The source of random bytes.
    pub random: Random,
    /// The custom event types that this process has found lately.
    pub found_types: FoundTypes,
}

/// The names of the tables, and the limits of their items.
#[derive(Clone, Debug)]
pub struct TableSettings {
    /// `WEBHOOKS_TABLE`: webhooks, event types, tokens, rate limits and quotas.
    pub webhooks: String,
    /// `EVENTS_TABLE`: payloads and idempotency keys.
    pub events: String,
    /// `DELIVERIES_TABLE`: deliveries with their attempts.
    pub deliveries: String,
    /// `RETENTION_DAYS` (30): how long events and deliveries are kept.
    pub retention: Duration,
    /// `MAX_WEBHOOKS` (10,000): the most webhooks of one account.
    pub webhooks_max: usize,
}

impl Store {
    /// Creates a store that remembers nothing yet.
    pub fn new(dynamodb: aws_sdk_dynamodb::Client, settings: TableSettings, clock: Clock, random: Random) -> Self {
        Self { dynamodb, settings, clock, random, found_types: FoundTypes::default() }
    }
}
