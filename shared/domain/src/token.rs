//! API tokens: their scopes, their text, and its hash. Of the text, only the hash is stored.

use crate::{account::AccountId, id::TokenId, portal::Session, random::Random, time::Timestamp};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Manages webhooks and deliveries, and reads events and event types.
    Manage,
    /// Publishes events, and reads events and event types.
    Publish,
    /// Manages tokens and event types, and does everything for any account.
    Platform,
}

/// A token as it is stored, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The token's public id.
    #[serde(rename = "id")]
    pub id: TokenId,
    /// The account that the token is bound to, or `None` for a platform token.
    pub bound_to: Option<AccountId>,
    /// What the token allows.
    pub scopes: Vec<Scope>,
    /// The description that its creator gave.
    pub description: Option<String>,
    /// When the token was created.
    pub created_at: Timestamp,
    /// SHA-256 of the token's text, in lowercase hex.
    pub hash: String,
    /// The session of the portal that the token is of. `None` for any other token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

impl Token {
    /// Issues a token. Returns its text, of which nothing but the hash is stored, and the token.
    pub fn issue(
        bound_to: Option<AccountId>,
        scopes: Vec<Scope>,
        description: Option<String>,
        now: Timestamp,
        random: &Random,
    ) -> (String, Self) {
        let text = generate(random);
        let (id, hash) = (TokenId::new(now, random), hash(&text));
        (text, Self { id, bound_to, scopes, description, created_at: now, hash, session: None })
    }
}

/// The prefix of a token's text.
const TEXT_PREFIX: &str = "hl_";

/// Generates a token's text: `hl_` and the base64url of 32 random bytes.
pub fn generate(random: &Random) -> String {
    format!("{TEXT_PREFIX}{}", URL_SAFE_NO_PAD.encode(random.bytes::<32>()))
}

/// Whether `text` has the form of a token from [`generate`].
pub fn is_generated(text: &str) -> bool {
    let random = text.strip_prefix(TEXT_PREFIX).map(|encoded| URL_SAFE_NO_PAD.decode(encoded));
    matches!(random, Some(Ok(bytes)) if bytes.len() == 32)
}

/// Returns the SHA-256 of a token's text in lowercase hex.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
