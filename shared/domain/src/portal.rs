//! The portal: links to it, and the sessions that links begin.

use crate::{
    account::AccountId,
    id::WebhookId,
    random::Random,
    time::Timestamp,
    token::{self, Scope},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a link works.
pub const LINK_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long a session lasts, unless its link says otherwise.
pub const SESSION_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// The longest session.
pub const SESSION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Generates the code of a link: the base64url of 32 random bytes. Only its hash is stored.
pub fn generate_code(random: &Random) -> String {
    URL_SAFE_NO_PAD.encode(random.bytes::<32>())
}

/// Whether `text` has the form of a code from [`generate_code`].
pub fn is_code(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// The prefix of the text of a session's token. No other token has it, so a version of Hookline that knows no sessions finds no token
/// under such a text, instead of one that may do everything.
const SESSION_PREFIX: &str = "hls_";

/// Generates the text of a session's token: `hls_` and the base64url of 32 random bytes.
pub fn generate_session_token(random: &Random) -> String {
    format!("{SESSION_PREFIX}{}", generate_code(random))
}

/// Whether `text` is that of a session's token.
pub fn is_session_token(text: &str) -> bool {
    text.starts_with(SESSION_PREFIX)
}

/// Returns the SHA-256 of a code in lowercase hex.
pub fn hash(code: &str) -> String {
    token::hash(code)
}

/// A link as it is stored, without its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The account that the session is bound to.
    pub bound_to: AccountId,
    /// What the session allows.
    pub scopes: Vec<Scope>,
    /// Whether the session is read-only.
    pub read_only: bool,
    /// The only webhook that the session sees, or `None` for all of the account.
    pub webhook: Option<WebhookId>,
    /// How long the session lasts, in seconds.
    pub session_seconds: u64,
    /// When the link stops working.
    pub until: Timestamp,
    /// The hash of the token of the session that the link has begun.
    pub redeemed_by: Option<String>,
}

impl Link {
    /// Whether the link still begins a session.
    pub fn works(&self, now: Timestamp) -> bool {
        self.redeemed_by.is_none() && now < self.until
    }

    /// Returns when a session that begins `now` is over.
    pub fn session_until(&self, now: Timestamp) -> Timestamp {
        now.plus(Duration::from_secs(self.session_seconds))
    }
}

/// What makes a token one of the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whether the session is read-only.
    pub read_only: bool,
    /// The only webhook that the session sees, or `None` for all of the account.
    pub webhook: Option<WebhookId>,
    /// When the session is over.
    pub until: Timestamp,
}
