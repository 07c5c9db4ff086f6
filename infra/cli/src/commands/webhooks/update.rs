//! `hookline webhooks update`.

use super::{
    Session,
    fields::{self, FieldOptions, Resettable},
};
use crate::{
    arguments::JsonArgument,
    client::webhooks::{Setting, WebhookFields},
    output::text::visible,
    usage::UsageError,
};
use clap::Args;
use domain::id::WebhookId;
use std::process::ExitCode;

/// A change of a webhook. What is not given stays as it is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Update {
    /// The webhook's id, wh_….
    webhook: WebhookId,
    /// Where deliveries are sent.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The event types that it receives from now on.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    events: Vec<String>,
    /// When a polled webhook is deleted by itself.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// A new secret, without an overlap. See rotate-secret.
    #[arg(long)]
    secret: Option<String>,
    /// Enable or disable it.
    #[arg(long, value_parser = ["enabled", "disabled"])]
    status: Option<String>,
    /// What becomes of held deliveries when it is enabled.
    #[arg(long, value_parser = ["recover", "cancel"])]
    held: Option<String>,
    #[command(flatten)]
    options: FieldOptions,
    /// Options to put back to their defaults.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    reset: Vec<Resettable>,
    /// The whole body of the request instead: JSON, a file, or - for stdin.
    #[arg(
        long,
        value_name = "JSON|FILE",
        conflicts_with_all = ["endpoint", "expires_at", "events", "secret", "status", "held", "reset", "FieldOptions"]
    )]
    body: Option<JsonArgument>,
}

impl Update {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = match &self.body {
            Some(body) => session.client.update_webhook(self.webhook, &body.read("--body")?).await?,
            None => {
                let mut fields = WebhookFields {
                    url: self.endpoint,
                    expires_at: self.expires_at.map(Setting::Value),
                    events: (!self.events.is_empty()).then_some(self.events),
                    secret: self.secret,
                    status: self.status,
                    held: self.held,
                    ..self.options.fields()?
                };
                fields::reset(&mut fields, &self.reset)?;
                if serde_json::to_string(&fields)? == "{}" {
                    return Err(UsageError::new("nothing to change: give an option, such as --events").into());
                }
                session.client.update_webhook(self.webhook, &fields).await?
            }
        };
        session.out.answer(&answer, |out, changed| {
            let (id, status) = (visible(&changed.webhook.id), visible(&changed.webhook.status));
            out.line(&format!("changed {id}, which is {status}"))?;
            match &changed.recovery_id {
                Some(recovery) => out.line(&format!("what was held is recovered: {}", visible(recovery))),
                None => Ok(()),
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
