//! Links to the portal.

use super::{Answer, Client, Error, call::Call, operation};
use domain::id::WebhookId;
use serde::{Deserialize, Serialize};

/// A link to make.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewPortalLink {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publish: Option<bool>,
    /// The only webhook that the session sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_id: Option<WebhookId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_seconds: Option<u32>,
}

/// A link. It begins one session.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PortalLink {
    pub(crate) url: String,
    pub(crate) expires_at: String,
}

impl Client {
    /// Makes a link.
    pub(crate) async fn create_portal_link(&self, body: &NewPortalLink) -> Result<Answer<PortalLink>, Error> {
        self.call(Call::new(operation::CREATE_PORTAL_LINK).body(body)).await
    }
}
