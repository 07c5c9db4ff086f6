//! API tokens: found by their SHA-256, which is all that is stored of them, and listed by id.

use super::{StoreError, cut, from_item, keys, names, text, to_item};
use crate::{
    app::App,
    id::{AccountId, TokenId},
    random::Random,
    time::Timestamp,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Webhooks and deliveries of the token's account.
    Manage,
    /// Publishing events of the token's account.
    Publish,
    /// Tokens, event types, and everything of any account.
    Platform,
}

/// A token as it is stored: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its public id.
    #[serde(rename = "id")]
    pub id: TokenId,
    /// The account that it is bound to; a platform token is bound to none.
    pub bound_to: Option<AccountId>,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The operator's own words.
    pub description: Option<String>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// SHA-256 of the token's text, in lowercase hex.
    pub hash: String,
}

/// Before the random part of a token's text.
const TEXT_PREFIX: &str = "hl_";

/// A new token's text: `hl_` and 32 random bytes.
pub fn generate(random: &Random) -> String {
    format!("{TEXT_PREFIX}{}", URL_SAFE_NO_PAD.encode(random.bytes::<32>()))
}

/// Whether `text` is a whole token as [`generate`] makes it.
pub fn is_generated(text: &str) -> bool {
    let random = text.strip_prefix(TEXT_PREFIX).map(|encoded| URL_SAFE_NO_PAD.decode(encoded));
    matches!(random, Some(Ok(bytes)) if bytes.len() == 32)
}

/// SHA-256 in lowercase hex.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Stores a token. It works from when this has succeeded; storing it twice is harmless.
pub async fn create(app: &App, token: &Token) -> Result<(), StoreError> {
    let mut listed = to_item(token)?;
    listed.extend(keys::token(token.id));
    put(app, listed).await?;
    let mut found = to_item(token)?;
    found.insert("token_id".to_owned(), text(token.id));
    found.extend(keys::token_by_hash(&token.hash));
    put(app, found).await
}

async fn put(app: &App, item: super::Item) -> Result<(), StoreError> {
    app.dynamodb.put_item().table_name(&app.config.webhooks_table).set_item(Some(item)).send().await?;
    Ok(())
}

/// Finds a token by the SHA-256 of its text. What is looked for is a digest, so that how long the look-up takes tells
/// nothing of any token.
pub async fn find(app: &App, hash: &str) -> Result<Option<Token>, StoreError> {
    let call = app.dynamodb.get_item().table_name(&app.config.webhooks_table).consistent_read(true);
    let found = call.set_key(Some(keys::token_by_hash(hash))).send().await?;
    let Some(mut item) = found.item else { return Ok(None) };
    if let Some(id) = item.remove("token_id") {
        item.insert(keys::ID.to_owned(), id);
    }
    Ok(Some(from_item(item)?))
}

/// A page of tokens, newest first, and where to go on.
pub async fn page(
    app: &App,
    after: Option<TokenId>,
    limit: usize,
) -> Result<(Vec<Token>, Option<TokenId>), StoreError> {
    let call = app.dynamodb.query().table_name(&app.config.webhooks_table).consistent_read(true);
    let call = call.key_condition_expression("#account = :account");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT])));
    let call = call.expression_attribute_values(":account", text(keys::TOKENS));
    let call = call.set_exclusive_start_key(after.map(keys::token)).scan_index_forward(false);
    let found = call.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)).send().await?;
    let tokens = found.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_, _>>()?;
    Ok(cut(tokens, limit, found.last_evaluated_key.is_some(), |token: &Token| token.id))
}

/// Revokes a token; false where there is none. It stops working before it leaves the list.
pub async fn delete(app: &App, id: TokenId) -> Result<bool, StoreError> {
    let table = &app.config.webhooks_table;
    let call = app.dynamodb.get_item().table_name(table).consistent_read(true);
    let Some(item) = call.set_key(Some(keys::token(id))).send().await?.item else { return Ok(false) };
    let token: Token = from_item(item)?;
    for key in [keys::token_by_hash(&token.hash), keys::token(id)] {
        app.dynamodb.delete_item().table_name(table).set_key(Some(key)).send().await?;
    }
    Ok(true)
}
