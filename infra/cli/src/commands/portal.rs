//! `hookline portal`.

use super::Session;
use crate::{
    client::portal::{NewPortalLink, PortalLink},
    output::{moment::relative, text::visible},
};
use clap::Args;
use domain::id::WebhookId;
use std::{
    io::{IsTerminal, stdout},
    process::ExitCode,
};

/// Make a link to the portal, and open it in the browser.
///
/// The link begins one session, within five minutes. Where there is no terminal it is printed and not opened.
#[derive(Debug, Args)]
pub(crate) struct Portal {
    /// The session is read-only.
    #[arg(long)]
    read_only: bool,
    /// The session may publish events.
    #[arg(long, conflicts_with = "read_only")]
    publish: bool,
    /// The session sees this webhook alone, wh_….
    #[arg(long, value_name = "ID")]
    webhook: Option<WebhookId>,
    /// How long the session lasts, in seconds; an hour if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    session_seconds: Option<u32>,
    /// Print the link only.
    #[arg(long)]
    no_open: bool,
}

impl Portal {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Session { client, out, .. } = session;
        let body = NewPortalLink {
            read_only: self.read_only.then_some(true),
            publish: self.publish.then_some(true),
            webhook_id: self.webhook,
            session_seconds: self.session_seconds,
        };
        let answer = client.create_portal_link(&body).await?;
        // Nothing else is on stdout, so that a script can pass it on.
        out.answer(&answer, |out, link| out.line(&visible(&link.url)))?;
        let PortalLink { url, expires_at } = &answer.value;
        eprintln!("It works once, and expires {}.", visible(&relative(expires_at)));
        // The link is on the screen, so that the user can open it where no browser is found.
        if stdout().is_terminal() && !self.no_open && open::that_detached(url).is_err() {
            eprintln!("No browser was found: open the link yourself.");
        }
        Ok(ExitCode::SUCCESS)
    }
}
