//! Links to the portal, found by the SHA-256 of their codes. The text of a code is not stored.

use crate::{
    Store,
    item::{StoreError, Written, from_item, number, put_version, to_item},
    keys,
};
use domain::portal::Link;

/// Stores a link. It works once this call has succeeded.
pub async fn create(store: &Store, hash: &str, link: &Link) -> Result<(), StoreError> {
    put(store, hash, link, 0).await.map(|_| ())
}

/// Reads a link as it is now.
pub async fn get(store: &Store, hash: &str) -> Result<Option<Link>, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    let found = call.set_key(Some(keys::portal_link(hash))).send().await?;
    found.item.map(from_item).transpose()
}

/// Marks `link` as redeemed by the session whose token has the hash `session`. Returns false if another session has redeemed it.
pub async fn redeem(store: &Store, hash: &str, link: Link, session: &str) -> Result<bool, StoreError> {
    let redeemed = Link { redeemed_by: Some(session.to_owned()), ..link };
    put(store, hash, &redeemed, 1).await
}

async fn put(store: &Store, hash: &str, link: &Link, version: u64) -> Result<bool, StoreError> {
    let mut item = to_item(link)?;
    item.extend(keys::portal_link(hash));
    item.insert(keys::EXPIRES_AT.to_owned(), number(link.until.unix_seconds()));
    let written = put_version(store, &store.settings.webhooks, item, version).await?;
    Ok(matches!(written, Written::Yes))
}
