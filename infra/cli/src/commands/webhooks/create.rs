//! `hookline webhooks create`.

use super::{Session, fields::FieldOptions};
use crate::{
    arguments::JsonArgument,
    client::webhooks::{Setting, WebhookFields, WebhookWithSecret},
    output::{Output, text::visible},
};
use clap::Args;
use std::{io, process::ExitCode};

/// A webhook to register.
#[derive(Clone, Debug, Args)]
pub(crate) struct Create {
    /// Where deliveries are sent.
    #[arg(required_unless_present_any = ["body", "poll"])]
    endpoint: Option<String>,
    /// Send nothing: the events are read with `hookline webhooks poll`.
    #[arg(long, conflicts_with = "endpoint")]
    poll: bool,
    /// When a polled webhook is deleted by itself.
    #[arg(long, value_name = "TIME", requires = "poll")]
    expires_at: Option<String>,
    /// The event types that it receives: exact names, prefixes such as resource.*, or *.
    #[arg(long, value_name = "LIST", value_delimiter = ',', required_unless_present = "body")]
    events: Vec<String>,
    /// Your own secret; one is made if it is not given.
    #[arg(long)]
    secret: Option<String>,
    #[command(flatten)]
    options: FieldOptions,
    /// The whole body of the request instead: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["endpoint", "poll", "expires_at", "events", "secret", "FieldOptions"])]
    body: Option<JsonArgument>,
}

impl Create {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = match &self.body {
            Some(body) => session.client.create_webhook(&body.read("--body")?).await?,
            None => {
                let fields = WebhookFields {
                    delivery: self.poll.then(|| "poll".to_owned()),
                    expires_at: self.expires_at.map(Setting::Value),
                    url: self.endpoint,
                    events: Some(self.events),
                    secret: self.secret,
                    ..self.options.fields()?
                };
                session.client.create_webhook(&fields).await?
            }
        };
        session.out.answer(&answer, |out, created| {
            out.line(&format!("registered {}", visible(&created.webhook.id)))?;
            print_secret(out, created)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the secret, in both forms if they differ.
pub(super) fn print_secret(
    out: Output,
    WebhookWithSecret { secret, standard_secret, .. }: &WebhookWithSecret,
) -> io::Result<()> {
    out.line(&format!("secret           {}", visible(secret)))?;
    if secret != standard_secret {
        out.line(&format!("standard_secret  {}", visible(standard_secret)))?;
    }
    eprintln!("Keep the secret: it is not shown again.");
    Ok(())
}
