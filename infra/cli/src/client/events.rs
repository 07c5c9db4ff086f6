//! Events: publish, list and read them.

use super::{
    Answer, Client, Error,
    call::Call,
    deliveries::Delivery,
    error::{Fault, Problem},
    operation,
    page::{Page, Wanted},
};
use domain::id::EventId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A published event.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) r#type: String,
    pub(crate) created_at: String,
}

/// An event that was just published.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PublishedEvent {
    #[serde(flatten)]
    pub(crate) event: Event,
    /// Where it does not fit the schema of its type.
    #[serde(default)]
    pub(crate) warnings: Vec<Fault>,
}

/// An event with a page of its deliveries.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EventWithDeliveries {
    pub(crate) deliveries: Vec<Delivery>,
    /// The cursor of the next page of deliveries.
    pub(crate) next_cursor: Option<String>,
}

/// The answer to a batch: for each event, in order, the event or why it was not published.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EventBatch {
    pub(crate) data: Vec<BatchResult>,
}

/// What became of one event of a batch.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum BatchResult {
    Published(PublishedEvent),
    Refused(Problem),
}

/// What would become of an event.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DryRun {
    pub(crate) event: PublishedEvent,
    pub(crate) webhooks: Vec<DryRunWebhook>,
    /// The cursor of the next page of webhooks.
    pub(crate) next_cursor: Option<String>,
}

/// Whether a webhook would receive an event.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DryRunWebhook {
    pub(crate) webhook_id: String,
    pub(crate) delivery: String,
    pub(crate) delivers: bool,
    pub(crate) reason: Option<String>,
    pub(crate) filter: Option<FilterMismatch>,
}

/// A condition of a filter that an event does not meet.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FilterMismatch {
    pub(crate) path: String,
    pub(crate) expected: Box<RawValue>,
    pub(crate) found: Option<Box<RawValue>>,
}

/// Whether an event passes a filter.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FilterTest {
    pub(crate) matches: bool,
    pub(crate) explanation: Option<FilterMismatch>,
}

/// A filter to try on an event.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewFilterTest {
    pub(crate) filter: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<NewEventData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous_data: Option<Box<RawValue>>,
}

/// An event to publish.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewEvent {
    pub(crate) r#type: String,
    pub(crate) data: NewEventData,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous_data: Option<Box<RawValue>>,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewEventData {
    /// The publisher's object. Its JSON text is delivered as it is.
    pub(crate) object: Box<RawValue>,
}

/// Events to publish together.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewEventBatch {
    pub(crate) events: Vec<NewEvent>,
}

impl Client {
    /// Lists events, newest first.
    pub(crate) async fn list_events(
        &self,
        event_type: Option<&str>,
        page: &Wanted,
    ) -> Result<Answer<Page<Event>>, Error> {
        self.call(Call::new(operation::LIST_EVENTS).query("type", event_type).page(page)).await
    }

    /// Reads an event with a page of its deliveries.
    pub(crate) async fn read_event(
        &self,
        id: EventId,
        cursor: Option<&str>,
    ) -> Result<Answer<EventWithDeliveries>, Error> {
        self.call(Call::new(operation::READ_EVENT).id(id).query("cursor", cursor)).await
    }

    /// Publishes an event. `body` is [`NewEvent`] or the user's own JSON.
    pub(crate) async fn publish_event(
        &self,
        body: &impl Serialize,
        idempotency_key: &str,
    ) -> Result<Answer<PublishedEvent>, Error> {
        self.call(Call::new(operation::PUBLISH_EVENT).body(body).idempotency_key(idempotency_key)).await
    }

    /// Tries a filter on an event.
    pub(crate) async fn test_filter(&self, body: &NewFilterTest) -> Result<Answer<FilterTest>, Error> {
        self.call(Call::new(operation::TEST_FILTER).body(body)).await
    }

    /// Asks what would become of an event. `body` is [`NewEvent`] or the user's own JSON.
    pub(crate) async fn dry_run_event(&self, body: &impl Serialize, page: &Wanted) -> Result<Answer<DryRun>, Error> {
        self.call(Call::new(operation::DRY_RUN_EVENT).body(body).page(page)).await
    }

    /// Publishes up to 100 events. `body` is [`NewEventBatch`] or the user's own JSON.
    pub(crate) async fn publish_events(
        &self,
        body: &impl Serialize,
        idempotency_key: &str,
    ) -> Result<Answer<EventBatch>, Error> {
        self.call(Call::new(operation::PUBLISH_EVENTS).body(body).idempotency_key(idempotency_key)).await
    }
}
