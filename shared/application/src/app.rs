//! What every handler works with.

use crate::config::Config;
use domain::{backoff::RetrySchedule, endpoint_policy::EndpointPolicy, random::Random, time::Clock};
use std::num::NonZeroU32;
use store::{Clients, Queues, SettingError, Store, aws, webhooks};

/// The tables, the queues, the settings, the time and the randomness. Cloned freely: clones share connections.
#[derive(Clone, Debug)]
pub struct App {
    /// The tables.
    pub store: Store,
    /// The queues and schedules.
    pub queues: Queues,
    /// When the attempts of a delivery are due.
    pub retry_schedule: RetrySchedule,
    /// The most events a second that one account may publish through the API.
    pub publish_rate_limit: Option<NonZeroU32>,
    /// Where deliveries may be sent.
    pub endpoint_policy: EndpointPolicy,
    /// The time.
    pub clock: Clock,
    /// The source of random bytes.
    pub random: Random,
}

impl App {
    /// Creates an app that talks to AWS through `clients`.
    pub fn new(clients: Clients, config: Config, clock: Clock, random: Random) -> Self {
        let Config { tables, queues, retry_schedule, publish_rate_limit, endpoint_policy } = config;
        let queues = Queues::new(&clients, queues, clock.clone(), random.clone());
        let store = Store::new(clients.dynamodb, tables, clock.clone(), random.clone());
        Self { store, queues, retry_schedule, publish_rate_limit, endpoint_policy, clock, random }
    }

    /// Returns an app with the same settings that talks to AWS through other clients, and shares no cache with this one.
    #[must_use]
    pub fn with_clients(&self, clients: Clients) -> Self {
        let settings = self.store.settings.clone();
        Self {
            queues: Queues { sqs: clients.sqs, scheduler: clients.scheduler, ..self.queues.clone() },
            store: Store::new(clients.dynamodb, settings, self.clock.clone(), self.random.clone()),
            ..self.clone()
        }
    }

    /// Creates the app of a Lambda function: it reads the settings from the environment and makes a first call to DynamoDB, so
    /// that the connection is opened while the function starts and not by its first request.
    pub async fn in_lambda() -> Result<Self, SettingError> {
        let config = Config::read(|name| std::env::var(name).ok())?;
        let app = Self::new(Clients::new(&aws::config()?), config, Clock::system(), Random::system());
        webhooks::warm(&app.store).await;
        Ok(app)
    }
}
