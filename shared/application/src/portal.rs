//! Links to the portal, and the sessions that they begin.

use crate::{App, polling};
use domain::{
    account::AccountId,
    delivery::DeliveryView,
    event::Event,
    id::{EventId, TokenId, WebhookId},
    portal::{self, LINK_LIFETIME, Link, Session},
    time::Timestamp,
    token::{self, Scope, Token},
    webhook::Webhook,
};
use std::{collections::HashSet, time::Duration};
use store::{StoreError, deliveries, events, portal_links, tokens};

/// A link to make.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Whether the session is read-only.
    pub read_only: bool,
    /// Whether the session may publish events. A read-only one may not.
    pub publish: bool,
    /// The only webhook that the session sees, or `None` for all of the account.
    pub webhook: Option<WebhookId>,
    /// How long the session lasts.
    pub session: Duration,
}

/// A link that was made.
#[derive(Debug)]
pub struct MadeLink {
    /// The code, which begins one session.
    pub code: String,
    /// When the code stops working.
    pub until: Timestamp,
}

/// Makes a link for `account`.
pub async fn make_link(app: &App, account: AccountId, new: NewLink) -> Result<MadeLink, StoreError> {
    let (code, until) = (portal::generate_code(&app.random), app.clock.now().plus(LINK_LIFETIME));
    let may_publish = new.publish && !new.read_only;
    let link = Link {
        bound_to: account,
        scopes: [Some(Scope::Manage), may_publish.then_some(Scope::Publish)].into_iter().flatten().collect(),
        read_only: new.read_only,
        webhook: new.webhook,
        session_seconds: new.session.as_secs(),
        until,
        redeemed_by: None,
    };
    portal_links::create(&app.store, &portal::hash(&code), &link).await?;
    Ok(MadeLink { code, until })
}

/// A session that was begun.
#[derive(Debug)]
pub struct BegunSession {
    /// The text of its token.
    pub token: String,
    /// The link that began it, which says what it allows.
    pub link: Link,
    /// When it is over.
    pub until: Timestamp,
}

/// Begins the session of a link: exchanges its code for a token. Returns `None` if the code is unknown, used or expired. A code whose
/// exchange fails in between is used up; another link must then be made.
pub async fn begin_session(app: &App, code: &str) -> Result<Option<BegunSession>, StoreError> {
    if !portal::is_code(code) {
        return Ok(None);
    }
    let (hash, now) = (portal::hash(code), app.clock.now());
    let link = portal_links::get(&app.store, &hash).await?.filter(|link| link.works(now));
    let Some(link) = link else { return Ok(None) };
    let (text, until) = (portal::generate_session_token(&app.random), link.session_until(now));
    let token = Token {
        id: TokenId::new(now, &app.random),
        bound_to: Some(link.bound_to.clone()),
        scopes: link.scopes.clone(),
        description: None,
        created_at: now,
        hash: token::hash(&text),
        session: Some(Session { read_only: link.read_only, webhook: link.webhook, until }),
    };
    if !portal_links::redeem(&app.store, &hash, link.clone(), &token.hash).await? {
        return Ok(None);
    }
    tokens::create_session(&app.store, &token, until).await?;
    Ok(Some(BegunSession { token: text, link, until }))
}

/// Reads an event of the account that the caller sees: any, or with `only`, one of that webhook.
pub async fn event_seen(
    app: &App,
    account: &AccountId,
    only: Option<&Webhook>,
    id: EventId,
) -> Result<Option<Event>, StoreError> {
    let found = events::get(&app.store, account, id).await?;
    match (&found, only) {
        (Some(event), Some(webhook)) if events_seen(app, webhook, std::slice::from_ref(event)).await?.is_empty() => {
            Ok(None)
        }
        _ => Ok(found),
    }
}

/// Returns those of the account's `events` that a session which is bound to `webhook` sees: those that it has a delivery of, or that a
/// poll returns.
pub async fn events_seen(app: &App, webhook: &Webhook, events: &[Event]) -> Result<HashSet<EventId>, StoreError> {
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let stored = deliveries::of_webhook(&app.store, &webhook.account, webhook.id, &ids).await?;
    let is_seen = |event: &&Event| {
        let matcher = app.filters.matcher(Some(&event.payload));
        let is_sent = || DeliveryView::unattempted(&(*event).into(), webhook, matcher.passes(webhook)).is_some();
        stored.contains_key(&event.id)
            || if webhook.is_polled() { polling::is_returned(&matcher, webhook, event) } else { is_sent() }
    };
    Ok(events.iter().filter(is_seen).map(|event| event.id).collect())
}
