//! `hookline webhooks`.

mod create;
mod fields;
mod health;
mod poll;
mod recoveries;
mod rows;
mod update;

use super::{
    Session,
    deliveries::{self, Waiting},
    idempotency_key,
    listing::{self, PageOptions},
};
use crate::{
    arguments::{Beginning, Moment},
    client::webhooks::{NewRecovery, NewTestDelivery, PollPosition, SecretRotation},
};
use clap::Subcommand;
use domain::{
    event_type::EventType,
    id::{RecoveryId, WebhookId},
};
use std::process::ExitCode;

/// A command on webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Webhooks {
    /// List webhooks, newest first.
    List {
        /// Only those with this status.
        #[arg(long, value_parser = ["enabled", "disabled"])]
        status: Option<String>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a webhook.
    Get {
        /// The webhook's id, wh_….
        webhook: WebhookId,
    },
    /// Register a webhook. Prints its secret, this once.
    Create(Box<create::Create>),
    /// Change a webhook, or enable or disable it.
    Update(Box<update::Update>),
    /// Delete a webhook. Its pending deliveries are cancelled.
    Delete {
        /// The webhook's id, wh_….
        webhook: WebhookId,
    },
    /// Send a test delivery with the sample of an event type.
    Test {
        /// The webhook's id, wh_….
        webhook: WebhookId,
        /// The event type, such as resource.created.
        event_type: EventType,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Replace the secret. For a while deliveries are signed with the old one as well.
    RotateSecret {
        /// The webhook's id, wh_….
        webhook: WebhookId,
        /// Your own secret; one is made if it is not given.
        #[arg(long)]
        secret: Option<String>,
        /// How long the old secret still signs, in seconds; 24 hours if not given.
        #[arg(long, value_name = "N")]
        overlap_seconds: Option<u32>,
        /// Makes a repeated rotation the same rotation.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// End the overlap of a rotation now.
    FinishRotation {
        /// The webhook's id, wh_….
        webhook: WebhookId,
    },
    /// Send again what was not delivered.
    Recover {
        /// The webhook's id, wh_….
        webhook: WebhookId,
        /// Events published since then: a time, or how long ago (2h).
        #[arg(long, value_name = "TIME")]
        since: Option<Moment>,
        /// Events published until then.
        #[arg(long, value_name = "TIME")]
        until: Option<Moment>,
        /// Leave failed deliveries out.
        #[arg(long)]
        without_failed: bool,
        /// Also send events from before the webhook's registration.
        #[arg(long)]
        backfill: bool,
        /// Wait until everything is enqueued.
        #[arg(long)]
        wait: bool,
    },
    /// List the recoveries of a webhook, or show one.
    Recoveries {
        /// The webhook's id, wh_….
        webhook: WebhookId,
        /// A recovery's id, rcv_….
        recovery: Option<RecoveryId>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Read what a polled webhook would have been sent. See also `hookline listen`.
    Poll {
        /// The webhook's id, wh_….
        webhook: WebhookId,
        /// Where to read: what the poll before ended with.
        #[arg(long)]
        cursor: Option<String>,
        /// Where to begin without a cursor: now, start, a time, or how long ago (2h). The default is the registration.
        #[arg(long)]
        from: Option<Beginning>,
        /// The most requests, 1 to 100; 20 if not given.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: Option<u32>,
    },
    /// Show how well the latest deliveries went.
    Health {
        /// The webhook's id, wh_….
        webhook: WebhookId,
    },
}

impl Webhooks {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Session { client, out, .. } = session;
        match self {
            Self::List { status, page } => {
                let fetch = async |wanted| client.list_webhooks(status.as_deref(), &wanted).await;
                return listing::print(*out, &page, rows::WEBHOOKS, fetch).await;
            }
            Self::Get { webhook } => out.details(&client.read_webhook(webhook).await?)?,
            Self::Create(create) => return create.run(session).await,
            Self::Update(update) => return update.run(session).await,
            Self::Delete { webhook } => {
                let answer = client.delete_webhook(webhook).await?;
                out.answer(&answer, |out, ()| out.line(&format!("deleted {webhook}")))?;
            }
            Self::Test { webhook, event_type, waiting } => {
                let answer = client.test_webhook(&NewTestDelivery { webhook_id: webhook, event_type }).await?;
                return deliveries::show_begun(session, answer, waiting).await;
            }
            Self::RotateSecret { webhook, secret, overlap_seconds, idempotency_key: key } => {
                let body = SecretRotation { secret, overlap_seconds };
                let answer = client.rotate_secret(webhook, &body, &key.unwrap_or_else(idempotency_key)).await?;
                out.answer(&answer, create::print_secret)?;
            }
            Self::FinishRotation { webhook } => {
                let answer = client.finish_rotation(webhook).await?;
                out.answer(&answer, |out, _| out.line(&format!("only the newest secret of {webhook} is valid now")))?;
            }
            Self::Recover { webhook, since, until, without_failed, backfill, wait } => {
                let [since, until] = [since, until].map(|moment| moment.map(|moment| moment.0));
                let include_failed = without_failed.then_some(false);
                let body = NewRecovery { since, until, include_failed, backfill: backfill.then_some(true) };
                return recoveries::recover(session, webhook, &body, wait).await;
            }
            Self::Recoveries { webhook, recovery: Some(id), .. } => {
                out.details(&client.read_recovery(webhook, id).await?)?;
            }
            Self::Recoveries { webhook, recovery: None, page } => {
                let fetch = async |wanted| client.list_recoveries(webhook, &wanted).await;
                return listing::print(*out, &page, rows::RECOVERIES, fetch).await;
            }
            Self::Poll { webhook, cursor, from, limit } => {
                let position = PollPosition { cursor, from: from.map(Beginning::into_text) };
                let answer = client.poll_webhook(webhook, &position, limit).await?;
                out.answer(&answer, poll::print)?;
            }
            Self::Health { webhook } => out.answer(&client.read_health(webhook).await?, health::print)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
