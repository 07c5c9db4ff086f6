//! The state that every handler gets.

use crate::{throttle::Throttle, token_cache::TokenCache};
use application::App;

/// The state that every handler gets.
#[derive(Debug)]
pub(crate) struct ApiState {
    /// The settings and the AWS clients.
    pub(crate) app: App,
    /// The tokens that this process has found lately.
    pub(crate) tokens: TokenCache,
    /// The events that this process may still publish without asking the table.
    pub(crate) throttle: Throttle,
}
