//! What is known beside the received request: secrets, the stored event, and recorded attempts.

use super::{Code, GivenSecret, change::Change, forms::same};
use crate::{delivery::Attempt, event::Event, id::WebhookId, time::Timestamp, webhook::Webhook};
use std::collections::HashMap;

/// What a diagnosis may use. All of it belongs to the caller's account.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The secrets that the receiver has, if they were given.
    pub given: Vec<GivenSecret>,
    /// The webhook that the request was sent for, if it was named. It is among `webhooks`.
    pub asked: Option<WebhookId>,
    /// The webhooks that may have sent the request.
    pub webhooks: Vec<Webhook>,
    /// The event of the request.
    pub event: Option<Event>,
    /// The event that the body names, if that is another one.
    pub event_in_body: Option<Event>,
    /// The recorded attempts of the event's deliveries.
    pub attempts: HashMap<WebhookId, Vec<Attempt>>,
}

/// Whose a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Given with the request: its place among those.
    Given(usize),
    /// The present secret of a webhook.
    Present(WebhookId),
    /// A secret of a webhook that a rotation replaced, and when it stops signing.
    Previous(WebhookId, Timestamp),
}

impl Holder {
    /// Returns the webhook, if it is the secret of one.
    pub(super) fn webhook(self) -> Option<WebhookId> {
        match self {
            Self::Given(_) => None,
            Self::Present(webhook) | Self::Previous(webhook, _) => Some(webhook),
        }
    }
}

/// A secret that may have signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'a> {
    pub(super) secret: &'a str,
    pub(super) holder: Holder,
}

impl Evidence {
    /// Returns every known secret, those that were given first.
    pub(super) fn signers(&self) -> Vec<Signer<'_>> {
        let given = self.given.iter().enumerate();
        let given = given.map(|(index, secret)| Signer { secret: secret.expose(), holder: Holder::Given(index) });
        let asked_first = self.webhooks.iter().filter(|webhook| Some(webhook.id) == self.asked);
        let others = self.webhooks.iter().filter(|webhook| Some(webhook.id) != self.asked);
        given.chain(asked_first.chain(others).flat_map(of_webhook)).collect()
    }

    /// Returns what is wrong with a signature by `signer`. Nothing if that is a secret that the receiver should use at `at`.
    pub(super) fn mistake(&self, signer: Signer<'_>, at: Option<Timestamp>) -> Vec<Change> {
        let (of, made_with) = match signer.holder {
            Holder::Given(_) => return vec![],
            Holder::Present(webhook) => (webhook, format!("It was made with the present secret of {webhook}")),
            Holder::Previous(webhook, _) => (webhook, format!("It was made with a replaced secret of {webhook}")),
        };
        if let Some(given) = self.given.first() {
            return vec![self.mistake_with_given(given, &made_with, of)];
        }
        if let Some(asked) = self.asked.filter(|asked| *asked != of) {
            let detail = format!("{made_with}, which is another webhook than {asked}.");
            return vec![Change::new(Code::SecretOfAnotherWebhook, detail)];
        }
        match signer.holder {
            Holder::Previous(_, until) if at.is_some_and(|at| at >= until) => {
                let detail = format!("{made_with}, which ended at {until}.");
                vec![Change::new(Code::PreviousSecret, detail)]
            }
            _ => vec![],
        }
    }

    /// A signature that was made with a webhook's secret, and not with the one that was given.
    fn mistake_with_given(&self, given: &GivenSecret, made_with: &str, of: WebhookId) -> Change {
        let webhooks = self.webhooks.iter().flat_map(of_webhook);
        let known: Vec<_> = webhooks.filter(|one| same(one.secret.as_bytes(), given.expose().as_bytes())).collect();
        let is_of_same = |one: &&Signer<'_>| one.holder.webhook() == Some(of);
        if let Some(one) = known.iter().find(is_of_same) {
            let is = if matches!(one.holder, Holder::Present(_)) { "its present one" } else { "a replaced one" };
            let detail = format!("{made_with}, and the secret that was given is {is}.");
            return Change::new(Code::PreviousSecret, detail);
        }
        if let Some(other) = known.first().and_then(|one| one.holder.webhook()) {
            let detail = format!("{made_with}, and the secret that was given is that of {other}.");
            return Change::new(Code::SecretOfAnotherWebhook, detail);
        }
        if let Some(asked) = self.asked.filter(|asked| *asked != of) {
            let detail = format!("{made_with}, which is another webhook than {asked}.");
            return Change::new(Code::SecretOfAnotherWebhook, detail);
        }
        let detail = format!("{made_with}, and not with the secret that was given.");
        Change::new(Code::WrongSecret, detail)
    }

    /// Says which secret a valid signature was made with.
    pub(super) fn made_with(&self, holder: Holder) -> String {
        match holder {
            Holder::Given(_) if self.given.len() == 1 => "It was made with the secret that was given.".to_owned(),
            Holder::Given(index) => format!("It was made with secret {}.", index + 1),
            Holder::Present(webhook) => format!("It was made with the present secret of {webhook}."),
            Holder::Previous(webhook, until) => {
                format!("It was made with a secret of {webhook} that a rotation has replaced. It signs until {until}.")
            }
        }
    }
}

/// Returns a webhook's secrets, the present one first.
fn of_webhook(webhook: &Webhook) -> impl Iterator<Item = Signer<'_>> {
    let present = Signer { secret: webhook.secret.expose(), holder: Holder::Present(webhook.id) };
    let previous = webhook.previous_secrets.iter().map(|previous| Signer {
        secret: previous.secret.expose(),
        holder: Holder::Previous(webhook.id, previous.until),
    });
    std::iter::once(present).chain(previous)
}
