//! Webhooks in their table.

use super::{
    Item, StoreError, Written, cut, from_item, keys, names, number, put_version, quota, text, to_item, version_of,
};
use crate::{
    app::App,
    id::{AccountId, WebhookId},
    webhook::Webhook,
};
use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::Select};

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

/// What came of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The webhook is stored.
    Stored,
    /// The account has as many webhooks as it may.
    QuotaFull,
}

/// Stores a new webhook, if the account may have another one.
pub async fn create(app: &App, webhook: &Webhook) -> Result<Created, StoreError> {
    if !quota::take(app, &webhook.account).await? {
        return Ok(Created::QuotaFull);
    }
    match put_version(app, &app.config.webhooks_table, to_item(webhook)?, 0).await? {
        Written::Yes => Ok(Created::Stored),
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

/// Deletes a webhook; false where there was none. That it was there is kept for as long as its deliveries are.
pub async fn delete(app: &App, account: &AccountId, id: WebhookId) -> Result<bool, StoreError> {
    if get_item(app, account, id).await?.is_none() {
        return Ok(false);
    }
    let mut deleted = keys::deleted_webhook(account, id);
    let expires_at = app.clock.now().plus(app.config.retention).unix_seconds();
    deleted.insert(keys::EXPIRES_AT.to_owned(), number(expires_at));
    app.dynamodb.put_item().table_name(&app.config.webhooks_table).set_item(Some(deleted)).send().await?;
    let call = app.dynamodb.delete_item().table_name(&app.config.webhooks_table);
    let call = call.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
    let deleted = call.set_key(Some(keys::webhook(account, id))).send().await?;
    let is_deleted = deleted.attributes.is_some_and(|item| !item.is_empty());
    if is_deleted && let Err(error) = quota::give_back(app, account).await {
        // It is deleted; that it is still counted is put right by a recount.
        tracing::warn!(%account, %error, "a deleted webhook is still counted");
    }
    Ok(is_deleted)
}

/// How many webhooks the account has, counted.
pub(super) async fn count(app: &App, account: &AccountId) -> Result<usize, StoreError> {
    let (mut counted, mut start) = (0, None);
    loop {
        let call = query(app, account, WebhookId::PREFIX).select(Select::Count);
        let found = call.set_exclusive_start_key(start).send().await?;
        counted += usize::try_from(found.count).unwrap_or_default();
        start = found.last_evaluated_key;
        if start.is_none() {
            return Ok(counted);
        }
    }
}

/// The account's webhooks that were deleted lately: the newest `limit` of them.
pub async fn deleted(app: &App, account: &AccountId, limit: usize) -> Result<Vec<WebhookId>, StoreError> {
    let call = query(app, account, keys::DELETED).scan_index_forward(false);
    let found = call.limit(i32::try_from(limit).unwrap_or(i32::MAX)).send().await?;
    let ids = found.items.unwrap_or_default().into_iter().filter_map(|item| {
        let id = item.get(keys::ID)?.as_s().ok()?;
        id.strip_prefix(keys::DELETED)?.parse().ok()
    });
    Ok(ids.collect())
}

/// Asks for the account's items whose ids begin with `prefix`, as they are now.
fn query(app: &App, account: &AccountId, prefix: &str) -> QueryFluentBuilder {
    let call = app.dynamodb.query().table_name(&app.config.webhooks_table).consistent_read(true);
    let call = call.key_condition_expression("#account = :account AND begins_with(#id, :prefix)");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT, keys::ID])));
    call.expression_attribute_values(":account", text(account)).expression_attribute_values(":prefix", text(prefix))
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
    let call = query(app, account, WebhookId::PREFIX)
        .set_exclusive_start_key(after.map(|after| keys::webhook(account, after)));
    let call = call.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)).scan_index_forward(order == Order::Oldest);
    let found = call.send().await?;
    let webhooks = found.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_, _>>()?;
    let (webhooks, next) = cut(webhooks, limit, found.last_evaluated_key.is_some(), |webhook: &Webhook| webhook.id);
    Ok(WebhookPage { webhooks, next })
}
