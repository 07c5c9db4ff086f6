//! The operations that need no token.

use super::{Answer, Client, Error, call::Call, operation};
use serde::Deserialize;

/// Whether the service works.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServiceHealth {
    /// `ok`.
    pub(crate) status: String,
}

/// The API's description.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OpenApi {}

impl Client {
    /// Reads whether the service works.
    pub(crate) async fn read_healthz(&self) -> Result<Answer<ServiceHealth>, Error> {
        self.call(Call::new(operation::READ_HEALTHZ)).await
    }

    /// Reads the API's description.
    pub(crate) async fn read_openapi(&self) -> Result<Answer<OpenApi>, Error> {
        self.call(Call::new(operation::READ_OPENAPI)).await
    }
}
