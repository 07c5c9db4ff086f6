//! Webhooks in their table.

use super::{Item, StoreError, Written, cut, from_item, keys, names, put_version, text, to_item, version_of};
use crate::{
    app::App,
    id::{AccountId, WebhookId},
    webhook::Webhook,
};

/// Tries of a change that another writer was faster with.
const CHANGE_TRIES: usize = 8;

/// Some webhooks of an account in the order of their ids, and where to go on.
#[derive(Debug, Default)]
pub struct WebhookPage {
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
    /// The last one read, where there may be more.
    pub next: Option<WebhookId>,
}

/// Stores a new webhook.
pub async fn create(app: &App, webhook: &Webhook) -> Result<(), StoreError> {
    match put_version(app, &app.config.webhooks_table, to_item(webhook)?, 0).await? {
        Written::Yes => Ok(()),
        Written::No(_) => Err(StoreError::Contended(webhook.id.to_string())),
    }
}

/// Reads a webhook as it is now.
pub async fn get(app: &App, account: &AccountId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
    get_item(app, account, id).await?.map(from_item).transpose()
}

async fn get_item(app: &App, account: &AccountId, id: WebhookId) -> Result<Option<Item>, StoreError> {
    let call = app.dynamodb.get_item().table_name(&app.config.webhooks_table).consistent_read(true);
    Ok(call.set_key(Some(keys::webhook(account, id))).send().await?.item)
}

/// Reads nothing: opens the connection.
pub async fn touch(app: &App) -> Result<(), StoreError> {
    let key = keys::event_type("-");
    app.dynamodb.get_item().table_name(&app.config.webhooks_table).set_key(Some(key)).send().await?;
    Ok(())
}

/// Changes a webhook with `change`, which is asked again about the newer webhook when another writer was faster. Gives the
/// webhook after the change, or `None` where there is none; nothing is written where `change` gives an error.
pub async fn change<E: From<StoreError>>(
    app: &App,
    account: &AccountId,
    id: WebhookId,
    change: impl Fn(&mut Webhook) -> Result<(), E>,
) -> Result<Option<Webhook>, E> {
    let mut read = get_item(app, account, id).await?;
    for _ in 0..CHANGE_TRIES {
        let Some(item) = read else { return Ok(None) };
        let version = version_of(&item);
        let mut webhook: Webhook = from_item(item)?;
        change(&mut webhook)?;
        match put_version(app, &app.config.webhooks_table, to_item(&webhook)?, version + 1).await? {
            Written::Yes => return Ok(Some(webhook)),
            Written::No(newer) => read = newer,
        }
    }
    Err(StoreError::Contended(id.to_string()).into())
}

/// Deletes a webhook; false where there was none.
pub async fn delete(app: &App, account: &AccountId, id: WebhookId) -> Result<bool, StoreError> {
    let call = app.dynamodb.delete_item().table_name(&app.config.webhooks_table);
    let call = call.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
    let deleted = call.set_key(Some(keys::webhook(account, id))).send().await?;
    Ok(deleted.attributes.is_some_and(|item| !item.is_empty()))
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    Newest,
    /// Oldest first.
    Oldest,
}

/// Reads up to `limit` of the account's webhooks that come after `after` in `order`, as they are now.
pub async fn page(
    app: &App,
    account: &AccountId,
    after: Option<WebhookId>,
    limit: usize,
    order: Order,
) -> Result<WebhookPage, StoreError> {
    let call = app.dynamodb.query().table_name(&app.config.webhooks_table).consistent_read(true);
    let call = call.key_condition_expression("#account = :account AND begins_with(#id, :prefix)");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT, keys::ID])));
    let call = call.expression_attribute_values(":account", text(account));
    let call = call.expression_attribute_values(":prefix", text(WebhookId::PREFIX));
    let call = call.set_exclusive_start_key(after.map(|after| keys::webhook(account, after)));
    let call = call.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)).scan_index_forward(order == Order::Oldest);
    let found = call.send().await?;
    let webhooks = found.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_, _>>()?;
    let (webhooks, next) = cut(webhooks, limit, found.last_evaluated_key.is_some(), |webhook: &Webhook| webhook.id);
    Ok(WebhookPage { webhooks, next })
}
