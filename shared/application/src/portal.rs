//! Links to the portal, and the sessions that they begin.

use crate::{App, polling};
use domain::{
    account::AccountId,
    delivery::DeliveryView,
    event::Event,
    id::{EventId, TokenId, WebhookId},
    portal::{self, LINK_LIFETIME, Link},
    time::Timestamp,
    token::{self, Scope, Token},
    webhook::Webhook,
};
use std::{collections::HashSet, time::Duration};
use store::{StoreError, deliveries, portal_links, tokens};

/// A link to make.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Whether the session only reads.
    pub read_only: bool,
    /// Whether the session may publish events. One that only reads may not.
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

/// Begins the session of a link: exchanges its code for a token. Returns the token with its text, or `None` if the code is unknown,
/// used or expired. A code whose exchange fails in between is used up; another link must then be made.
pub async fn begin_session(app: &App, code: &str) -> Result<Option<(Token, String)>, StoreError> {
    let (hash, now) = (portal::hash(code), app.clock.now());
    let link = portal_links::get(&app.store, &hash).await?.filter(|link| link.works(now));
    let Some(link) = link else { return Ok(None) };
    let text = token::generate(&app.random);
    let token = link.session(TokenId::new(now, &app.random), token::hash(&text), now);
    let Some(session) = &token.session else { return Ok(None) };
    if !portal_links::redeem(&app.store, &hash, link, &token.hash).await? {
        return Ok(None);
    }
    tokens::create_session(&app.store, &token, session).await?;
    Ok(Some((token, text)))
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
