//! Deliveries: list, read, retry and cancel them.

use super::{
    Answer, Client, Error,
    call::Call,
    operation,
    page::{Page, Wanted},
};
use domain::id::{DeliveryId, WebhookId};
use serde::Deserialize;
use std::collections::BTreeMap;

/// An event on its way to a webhook.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) webhook_id: String,
    pub(crate) status: String,
    /// The latest attempts, oldest first.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) next_attempt_at: Option<String>,
    pub(crate) created_at: String,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) started_at: String,
    pub(crate) duration_ms: u64,
    pub(crate) status_code: Option<u16>,
    /// Why there was no complete answer.
    pub(crate) error: Option<String>,
    pub(crate) response_body: Option<String>,
}

/// A request that would be sent. Its secrets are not shown.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OutgoingRequest {
    pub(crate) method: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Client {
    /// Lists the deliveries to a webhook, newest first.
    pub(crate) async fn list_deliveries(
        &self,
        webhook: WebhookId,
        (status, event_type): (Option<&str>, Option<&str>),
        page: &Wanted,
    ) -> Result<Answer<Page<Delivery>>, Error> {
        let call = Call::new(operation::LIST_DELIVERIES).id(webhook);
        self.call(call.query("status", status).query("event_type", event_type).page(page)).await
    }

    /// Reads the request that the next attempt would send.
    pub(crate) async fn read_delivery_request(&self, id: DeliveryId) -> Result<Answer<OutgoingRequest>, Error> {
        self.call(Call::new(operation::READ_DELIVERY_REQUEST).id(id)).await
    }

    /// Reads a delivery with its attempts.
    pub(crate) async fn read_delivery(&self, id: DeliveryId) -> Result<Answer<Delivery>, Error> {
        self.call(Call::new(operation::READ_DELIVERY).id(id)).await
    }

    /// Makes one more attempt now, outside the schedule.
    pub(crate) async fn retry_delivery(&self, id: DeliveryId) -> Result<Answer<Delivery>, Error> {
        self.call(Call::new(operation::RETRY_DELIVERY).id(id)).await
    }

    /// Cancels a delivery.
    pub(crate) async fn cancel_delivery(&self, id: DeliveryId) -> Result<Answer<Delivery>, Error> {
        self.call(Call::new(operation::CANCEL_DELIVERY).id(id)).await
    }
}
