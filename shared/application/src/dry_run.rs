//! Dry runs: which webhooks would receive an event, and why the others would not. A dry run writes nothing.
//!
//! Invariant: the functions that publish and poll give the verdict. What is here only finds the reason of a refusal afterwards.

use crate::{App, fan_out, filters::Matcher, polling};
use domain::{
    event::Event,
    filter::Explanation,
    id::WebhookId,
    page::{Order, Page},
    webhook::Webhook,
};
use std::{collections::HashSet, time::Duration};
use store::{StoreError, webhooks};

/// How many webhooks are judged before the time is looked at.
const AT_ONCE: usize = 10;
/// A page that has taken this long ends: filters may be many and slow, and an explanation matches parts of them again.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Why a webhook would not receive an event. If several reasons hold, the first of this order is given: so a webhook that is
/// [`Disabled`](Self::Disabled) would receive the event if it were enabled.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// It does not subscribe to the event's type.
    EventType,
    /// Its filter does not match.
    Filter(Explanation),
    /// It is disabled. A delivery to its URL would be held.
    Disabled,
}

/// A webhook, and whether it would receive the event.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The webhook.
    pub webhook: Webhook,
    /// Why it would not, or `None` if it would.
    pub refusal: Option<Refusal>,
}

/// Webhooks that were judged, and the cursor of those after them.
#[derive(Clone, Debug)]
pub struct JudgedPage {
    /// The webhooks, oldest first.
    pub webhooks: Vec<Judged>,
    /// The last webhook of the page, or `None` if there are no more.
    pub next: Option<WebhookId>,
}

/// Judges at most `limit` of the account's webhooks after `after`, oldest first, as if `event` were published now. A webhook that
/// was registered after the event is left out.
pub async fn judge(app: &App, event: &Event, after: Option<WebhookId>, limit: usize) -> Result<JudgedPage, StoreError> {
    let page = webhooks::page(&app.store, &event.account, after, limit, Order::Oldest).await?;
    Ok(judge_page(app, event, page))
}

/// Judges one webhook of the account. The page is empty if there is no such webhook.
pub async fn judge_one(app: &App, event: &Event, id: WebhookId) -> Result<JudgedPage, StoreError> {
    let webhook = webhooks::get(&app.store, &event.account, id).await?;
    Ok(judge_page(app, event, Page { items: webhook.into_iter().collect(), next: None }))
}

fn judge_page(app: &App, event: &Event, mut page: Page<Webhook, WebhookId>) -> JudgedPage {
    page.items.retain(|webhook| webhook.is_registered_for(event.id));
    let matcher = app.filters.matcher(Some(&event.payload));
    let (began, mut judged, mut next) = (app.clock.now(), Vec::with_capacity(page.items.len()), page.next);
    for webhooks in page.items.chunks(AT_ONCE) {
        if let Some(Judged { webhook, .. }) = judged.last()
            && app.clock.now().since(began) >= TIME_MAX
        {
            next = Some(webhook.id);
            break;
        }
        judged.extend(judge_some(&matcher, event, webhooks));
    }
    JudgedPage { webhooks: judged, next }
}

fn judge_some(matcher: &Matcher, event: &Event, webhooks: &[Webhook]) -> Vec<Judged> {
    let receivers = fan_out::receivers(matcher, event.id, &event.event_type, webhooks);
    let sent: HashSet<_> = receivers.into_iter().map(|webhook| webhook.id).collect();
    let judge = |webhook: &Webhook| {
        let is_received = if webhook.is_polled() {
            polling::is_returned(matcher, webhook, event)
        } else {
            sent.contains(&webhook.id)
        };
        // The task of a webhook that has just been disabled ends as held.
        let is_delivered = is_received && webhook.is_enabled();
        let refusal = if is_delivered { None } else { Some(refusal(matcher, webhook, event)) };
        Judged { webhook: webhook.clone(), refusal }
    };
    webhooks.iter().map(judge).collect()
}

fn refusal(matcher: &Matcher, webhook: &Webhook, event: &Event) -> Refusal {
    if !webhook.wants(event.id, &event.event_type) {
        return Refusal::EventType;
    }
    matcher.explain(webhook).map_or(Refusal::Disabled, Refusal::Filter)
}
