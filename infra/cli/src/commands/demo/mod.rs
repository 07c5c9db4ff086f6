//! `hookline demo`: shows a delivery arrive, fail, be retried, and be recovered. It has a receiver of its own, which verifies each
//! signature.
//!
//! | file | holds |
//! |---|---|
//! | `receiver.rs` | the receiver |
//! | `lines.rs` | what is printed |

mod lines;
mod receiver;

use super::{Session, idempotency_key};
use crate::{
    client::{
        Error,
        deliveries::Delivery,
        events::{NewEvent, NewEventData},
        webhooks::{NewRecovery, Setting, WebhookFields},
    },
    ends::Ends,
    output::style::Style,
};
use anyhow::{Context, bail, ensure};
use domain::{
    id::{EventId, WebhookId},
    random::Random,
    secret::Secret,
};
use lines::Story;
use receiver::{Arrival, Behavior, DemoReceiver};
use serde_json::{json, value::to_raw_value};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// The waits before the attempts of the demo's webhook.
const SCHEDULE: [&str; 2] = ["0s", "2s"];
/// How long a step may take. It is much longer than it does.
const STEP_WITHIN: Duration = Duration::from_secs(30);
/// The wait between two looks at a delivery.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time to delete the webhook at the end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Runs the demo until its end, Ctrl-C or SIGTERM.
pub(super) async fn run(session: &Session) -> anyhow::Result<ExitCode> {
    let (story, mut ends) = (Story::begin(session.out), Ends::listen()?);
    let receiver = DemoReceiver::start().await?;
    story.chapter("A receiver, and a webhook that leads to it")?;
    story.step("receiver", Style::Plain, &format!("{} verifies every signature", receiver.url))?;
    let mut demo = Demo::register(session, story, receiver).await?;
    let ended = tokio::select! {
        ended = demo.tell() => ended.map(|()| ExitCode::SUCCESS),
        () = ends.next() => Ok(ExitCode::SUCCESS),
    };
    let deleted = tokio::time::timeout(END_WITHIN, session.client.delete_webhook(demo.webhook)).await;
    if !matches!(deleted, Ok(Ok(_))) {
        eprintln!("The demo's webhook could not be deleted: `hookline webhooks delete {}` does it.", demo.webhook);
    }
    ended
}

/// The demo, with its webhook.
struct Demo<'a> {
    session: &'a Session,
    story: Story,
    receiver: DemoReceiver,
    webhook: WebhookId,
    /// A word in the demo's events, by which its webhook tells them from others.
    word: String,
}

impl<'a> Demo<'a> {
    /// Registers the webhook.
    async fn register(session: &'a Session, story: Story, receiver: DemoReceiver) -> anyhow::Result<Self> {
        let word = hex::encode(Random::system().bytes::<8>());
        let filter = json!({"data": {"object": {"demo": [word]}}});
        let fields = WebhookFields {
            url: Some(receiver.url.to_string()),
            events: Some(vec!["resource.*".to_owned()]),
            description: Some(Setting::Value("hookline demo".to_owned())),
            filter: Some(Setting::Value(to_raw_value(&filter)?)),
            retry_schedule: Some(Setting::Value(SCHEDULE.map(str::to_owned).to_vec())),
            ..WebhookFields::default()
        };
        let created = session.client.create_webhook(&fields).await?.value;
        let webhook = created.webhook.id.parse().context("the server's answer has no webhook id")?;
        receiver.verify_with(Secret::parse(&created.secret).map_err(anyhow::Error::msg)?);
        story.step(
            "webhook",
            Style::Plain,
            &format!("{webhook} for resource.*, attempts after {}", SCHEDULE.join(" and ")),
        )?;
        Ok(Self { session, story, receiver, webhook, word })
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        let story = self.story;
        story.chapter("An event arrives, signed")?;
        let (event, at) = self.publish("resource.created").await?;
        self.show_arrival(at, "after the publication").await?;
        self.show_delivery(event, "delivered").await?;

        story.chapter("A receiver that fails once is tried again")?;
        self.receiver.behave(Behavior::FailsOnce);
        let (event, at) = self.publish("resource.updated").await?;
        let failed_at = self.show_arrival(at, "after the publication").await?;
        self.show_arrival(failed_at, "after the failure").await?;
        self.show_delivery(event, "delivered").await?;

        story.chapter("A receiver that stays broken: its webhook is disabled, and later events are held")?;
        self.receiver.behave(Behavior::Broken);
        let (failed, at) = self.publish("resource.updated").await?;
        let failed_at = self.show_arrival(at, "after the publication").await?;
        self.show_arrival(failed_at, "after the failure").await?;
        self.show_delivery(failed, "failed").await?;
        self.wait_until_disabled().await?;
        let (held, _) = self.publish("resource.deleted").await?;
        self.show_delivery(held, "held").await?;

        story.chapter("It works again: nothing was lost")?;
        self.receiver.behave(Behavior::Works);
        let since = self.recover().await?;
        for _ in [failed, held] {
            self.show_arrival(since, "after the recovery began").await?;
        }
        for event in [failed, held] {
            self.show_delivery(event, "delivered").await?;
        }
        self.end()
    }

    /// Publishes an event. Returns its id and when it was accepted.
    async fn publish(&self, event_type: &str) -> anyhow::Result<(EventId, Instant)> {
        let object = to_raw_value(&json!({"id": "res_1", "name": "A resource", "demo": self.word}))?;
        let event = NewEvent { r#type: event_type.to_owned(), data: NewEventData { object }, previous_data: None };
        let began = Instant::now();
        let published = self.session.client.publish_event(&event, &idempotency_key()).await?.value;
        self.story.published(event_type, &published.event.id)?;
        Ok((published.event.id.parse().context("the server's answer has no event id")?, began))
    }

    /// Waits for the next request, and shows it with the time `since` an earlier moment. Returns when it came.
    async fn show_arrival(&mut self, since: Instant, what: &str) -> anyhow::Result<Instant> {
        let arrived: Option<Arrival> = match tokio::time::timeout(STEP_WITHIN, self.receiver.arrivals.recv()).await {
            Ok(arrival) => arrival,
            Err(_) => bail!("no request arrived within {} s", STEP_WITHIN.as_secs()),
        };
        let arrival = arrived.context("the receiver has ended")?;
        self.story.arrived(&arrival, arrival.at.saturating_duration_since(since), what)?;
        if !arrival.is_verified {
            bail!("the signature of {} is not valid", arrival.event);
        }
        Ok(arrival.at)
    }

    /// Waits until the delivery of an event has a status, and shows it.
    async fn show_delivery(&self, event: EventId, status: &str) -> anyhow::Result<()> {
        let webhook = self.webhook.to_string();
        let is_wanted = |delivery: &Delivery| delivery.webhook_id == webhook && delivery.status == status;
        let look = async || {
            let deliveries = self.session.client.read_event(event, None).await?.value.deliveries;
            Ok(deliveries.into_iter().find(is_wanted))
        };
        let delivery = until(&format!("the delivery of {event} is not {status}"), look).await?;
        let attempts = match delivery.attempts.len() {
            0 => "not attempted".to_owned(),
            1 => "1 attempt".to_owned(),
            several => format!("{several} attempts"),
        };
        let text = format!("{:<17} {status}, {attempts}", delivery.event_type);
        Ok(self.story.step("delivery", Style::of_status(status), &text)?)
    }

    async fn wait_until_disabled(&self) -> anyhow::Result<()> {
        let look = async || {
            let webhook = self.session.client.read_webhook(self.webhook).await?.value;
            Ok((webhook.status == "disabled").then_some(()))
        };
        until("the webhook is not disabled", look).await?;
        Ok(self.story.step("webhook", Style::Bad, "disabled, because all attempts of a delivery have failed")?)
    }

    /// Enables the webhook, which recovers what was held, and recovers what has failed. Returns when that began.
    async fn recover(&self) -> anyhow::Result<Instant> {
        let began = Instant::now();
        let fields = WebhookFields { status: Some("enabled".to_owned()), ..WebhookFields::default() };
        self.session.client.update_webhook(self.webhook, &fields).await?;
        self.story.step("webhook", Style::Good, "enabled; what was held is recovered")?;
        self.session.client.recover_webhook(self.webhook, &NewRecovery::default()).await?;
        self.story.step("recover", Style::Plain, "what has failed is sent again as well")?;
        Ok(began)
    }

    /// Says to people what to try next.
    fn end(&self) -> anyhow::Result<()> {
        if self.session.out.json {
            return Ok(());
        }
        self.story.chapter("Next")?;
        for (step, text) in [
            ("forward", "hookline listen --forward-to localhost:5000/webhooks"),
            ("publish", "hookline trigger resource.created"),
            ("follow", "hookline tail"),
        ] {
            self.story.step(step, Style::Plain, text)?;
        }
        Ok(())
    }
}

/// Looks again and again until there is something. `otherwise` says what the state still is when the time is over.
async fn until<T>(otherwise: &str, look: impl AsyncFn() -> Result<Option<T>, Error>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(start.elapsed() < STEP_WITHIN, "{otherwise} after {} s", STEP_WITHIN.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
