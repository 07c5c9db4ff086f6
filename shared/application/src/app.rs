//! What every handler works with.

use crate::{config::Config, filters::Filters};
use domain::{
    allowed_origins::AllowedOrigins,
    backoff::RetrySchedule,
    brand::Brand,
    endpoint_policy::EndpointPolicy,
    random::Random,
    time::Clock,
    webhook::{TrialSchedule, Webhook, WebhookView},
};
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
    /// When a webhook is tried again after failures have disabled it.
    pub trial_schedule: TrialSchedule,
    /// Whether webhooks are tried again that leave the option `auto_recover` open.
    pub auto_recover: bool,
    /// The most events a second that one account may publish through the API.
    pub publish_rate_limit: Option<NonZeroU32>,
    /// Whose web pages may call the API from a browser.
    pub cors_allow_origins: AllowedOrigins,
    /// How the portal presents itself.
    pub brand: Brand,
    /// Whose web pages may show the portal in a frame.
    pub frame_ancestors: AllowedOrigins,
    /// Where deliveries may be sent.
    pub endpoint_policy: EndpointPolicy,
    /// The time.
    pub clock: Clock,
    /// The source of random bytes.
    pub random: Random,
    /// The webhooks' filters that this process has used lately.
    pub filters: Filters,
}

impl App {
    /// Creates an app that talks to AWS through `clients`.
    pub fn new(clients: Clients, config: Config, clock: Clock, random: Random) -> Self {
        let queues = Queues::new(&clients, config.queues, clock.clone(), random.clone());
        let store = Store::new(clients.dynamodb, config.tables, clock.clone(), random.clone());
        Self {
            store,
            queues,
            retry_schedule: config.retry_schedule,
            trial_schedule: config.trial_schedule,
            auto_recover: config.auto_recover,
            publish_rate_limit: config.publish_rate_limit,
            cors_allow_origins: config.cors_allow_origins,
            brand: config.brand,
            frame_ancestors: config.frame_ancestors,
            endpoint_policy: config.endpoint_policy,
            clock,
            random,
            filters: Filters::default(),
        }
    }

    /// Returns when `webhook` is tried again after failures have disabled it, or `None` if it is not.
    pub fn trials_of(&self, webhook: &Webhook) -> Option<&TrialSchedule> {
        webhook.options.auto_recover.unwrap_or(self.auto_recover).then_some(&self.trial_schedule)
    }

    /// Returns `webhook` as users see it.
    pub fn view(&self, webhook: &Webhook) -> WebhookView {
        WebhookView::new(webhook, self.auto_recover)
    }

    /// Returns an app with the same settings that talks to AWS through other clients, and shares no cache with this one.
    #[must_use]
    pub fn with_clients(&self, clients: Clients) -> Self {
        let settings = self.store.settings.clone();
        Self {
            queues: Queues { sqs: clients.sqs, scheduler: clients.scheduler, ..self.queues.clone() },
            store: Store::new(clients.dynamodb, settings, self.clock.clone(), self.random.clone()),
            filters: Filters::default(),
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
