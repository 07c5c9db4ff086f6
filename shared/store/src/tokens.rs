//! API tokens: found by their SHA-256, and listed by id. The text of a token is not stored.

use crate::{
    Store,
    item::{Item, StoreError, from_item, names, number, text, to_item},
    keys,
};
use domain::{id::TokenId, page::Page, time::Timestamp, token::Token};

/// Stores a token. The token works once this call has succeeded. Storing it twice is harmless.
pub async fn create(store: &Store, token: &Token) -> Result<(), StoreError> {
    let mut listed = to_item(token)?;
    listed.extend(keys::token(token.id));
    put(store, listed).await?;
    put(store, found_by(token, keys::token_by_hash(&token.hash))?).await
}

/// Stores the token of a session of the portal that lasts until `until`. It is in no list. Storing it twice is harmless.
pub async fn create_session(store: &Store, token: &Token, until: Timestamp) -> Result<(), StoreError> {
    let mut item = found_by(token, keys::session(&token.hash))?;
    item.insert(keys::EXPIRES_AT.to_owned(), number(until.unix_seconds()));
    put(store, item).await
}

/// Returns the item by which a token is found under `key`.
fn found_by(token: &Token, key: Item) -> Result<Item, StoreError> {
    let mut item = to_item(token)?;
    item.insert("token_id".to_owned(), text(token.id));
    item.extend(key);
    Ok(item)
}

async fn put(store: &Store, item: Item) -> Result<(), StoreError> {
    store.dynamodb.put_item().table_name(&store.settings.webhooks).set_item(Some(item)).send().await?;
    Ok(())
}

/// Finds a token by the SHA-256 of its text. Only digests are compared, so the time that the look-up takes reveals nothing
/// about any token.
pub async fn find(store: &Store, hash: &str) -> Result<Option<Token>, StoreError> {
    get(store, keys::token_by_hash(hash)).await
}

/// Finds the token of a session by the SHA-256 of its text.
pub async fn find_session(store: &Store, hash: &str) -> Result<Option<Token>, StoreError> {
    get(store, keys::session(hash)).await
}

async fn get(store: &Store, key: Item) -> Result<Option<Token>, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    let found = call.set_key(Some(key)).send().await?;
    let Some(mut item) = found.item else { return Ok(None) };
    if let Some(id) = item.remove("token_id") {
        item.insert(keys::ID.to_owned(), id);
    }
    Ok(Some(from_item(item)?))
}

/// Reads a page of tokens, newest first.
pub async fn page(store: &Store, after: Option<TokenId>, limit: usize) -> Result<Page<Token, TokenId>, StoreError> {
    let call = store.dynamodb.query().table_name(&store.settings.webhooks).consistent_read(true);
    let call = call.key_condition_expression("#account = :account");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT])));
    let call = call.expression_attribute_values(":account", text(keys::TOKENS));
    let call = call.set_exclusive_start_key(after.map(keys::token)).scan_index_forward(false);
    let found = call.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)).send().await?;
    let tokens = found.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_, _>>()?;
    Ok(Page::first(tokens, limit, found.last_evaluated_key.is_some(), |token: &Token| token.id))
}

/// Revokes a token. Returns false if there is none. The token stops working before it leaves the list.
pub async fn delete(store: &Store, id: TokenId) -> Result<bool, StoreError> {
    let table = &store.settings.webhooks;
    let call = store.dynamodb.get_item().table_name(table).consistent_read(true);
    let Some(item) = call.set_key(Some(keys::token(id))).send().await?.item else { return Ok(false) };
    let token: Token = from_item(item)?;
    for key in [keys::token_by_hash(&token.hash), keys::token(id)] {
        store.dynamodb.delete_item().table_name(table).set_key(Some(key)).send().await?;
    }
    Ok(true)
}

/// Ends the session of the portal whose token has the hash `hash`.
pub async fn delete_session(store: &Store, hash: &str) -> Result<(), StoreError> {
    let call = store.dynamodb.delete_item().table_name(&store.settings.webhooks);
    call.set_key(Some(keys::session(hash))).send().await?;
    Ok(())
}
