//! `hookline listen`: forwards events to a local receiver, in order, and loses none.
//!
//! It polls a webhook of its own. The cursor moves only after the receiver has answered 2xx to everything before it. After a
//! failure, the same page is polled again, so that each attempt is signed anew.
//!
//! | file | holds |
//! |---|---|
//! | `forwarding.rs` | polling, forwarding, and what to do when one of them fails |
//! | `trouble.rs` | what keeps polls from working, said once |
//! | `webhook.rs` | the polled webhook |
//! | `state.rs`, `position.rs` | the state, how far it has come, and where both are kept |
//! | `receiver.rs` | the local receiver |
//! | `lines.rs` | what is printed |

mod forwarding;
mod lines;
mod position;
mod receiver;
mod state;
mod trouble;
mod webhook;

use super::Session;
use crate::{
    arguments::{Beginning, JsonArgument},
    client::webhooks::PollPosition,
    ends::Ends,
    output::{style::Style, text::visible},
    terminal::Keys,
};
use clap::Args;
use forwarding::Forwarding;
use position::Position;
use receiver::Receiver;
use state::{Name, State, Store};
use std::{io, pin::pin, process::ExitCode, time::Duration};
use tokio::{sync::watch, time::timeout};
use url::Url;
use webhook::Wanted;

/// Time for the attempt under way at the end, and then for deleting the webhook.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What to forward, and where.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// The local receiver: a URL, or a port with a path such as 3000/webhooks.
    #[arg(long, value_name = "URL", value_parser = receiver::parse_target)]
    forward_to: Url,
    /// Only events of these types: exact names, prefixes such as resource.*, or *.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "*")]
    events: Vec<String>,
    /// The event pattern that a payload must match: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    filter: Option<JsonArgument>,
    /// Keep the webhook and the position under this name, so that the next start goes on where this one ended.
    #[arg(long)]
    name: Option<Name>,
    /// Where to begin: now, start (the oldest event that is kept), a time, or how long ago (2h). The default is now, or where
    /// the last run of this name ended.
    #[arg(long)]
    from: Option<Beginning>,
}

impl Listen {
    /// Forwards until Ctrl-C or SIGTERM.
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        // A filter may be typed, and Ctrl-C must end that as well.
        let filter = self.filter.map(|filter| filter.read("--filter")).transpose()?;
        let mut ends = Ends::listen()?;
        let store = Store::open(self.name.as_ref())?;
        let wanted = Wanted { name: self.name, events: self.events, filter };
        let begun = tokio::select! {
            begun = begin(session, &store, &wanted, self.from.map(Beginning::into_text)) => begun?,
            () = ends.next() => return Ok(ExitCode::SUCCESS),
        };
        let receiver = Receiver::new(self.forward_to)?;
        let keys = if session.out.json { None } else { Keys::begin() };
        greet(session, &begun, &wanted, (&receiver, keys.is_some()))?;
        let mut forwarding = Forwarding::new(session, store, wanted, begun, receiver);
        let (end, ending) = watch::channel(false);
        let ended = {
            let mut run = pin!(forwarding.run(keys, ending));
            tokio::select! {
                ended = &mut run => ended,
                () = ends.next() => {
                    end.send_replace(true);
                    timeout(END_WITHIN, run).await.unwrap_or(Ok(()))
                }
            }
        };
        if timeout(END_WITHIN, forwarding.end()).await.is_err() {
            lines::say("The webhook could not be deleted; it expires in a day.");
        }
        ended.map(|()| ExitCode::SUCCESS)
    }
}

/// Finds the webhook of the last run, or registers one. With `from`, the position of the last run is forgotten.
async fn begin(session: &Session, store: &Store, wanted: &Wanted, from: Option<String>) -> anyhow::Result<State> {
    let Session { client, connection, .. } = session;
    let before = store.read(connection)?;
    let position = match (from, &before) {
        (Some(from), _) => Position::at(&from),
        (None, Some(state)) => state.position.clone(),
        (None, None) => Position::at("now"),
    };
    let mut state = match before {
        Some(state) if webhook::change(client, state.webhook, wanted).await? => State { position, ..state },
        before => {
            if before.is_some() {
                lines::say("The webhook of the last run is gone; another one is registered.");
            }
            let secret = before.map(|state| state.secret);
            let state = webhook::register(client, connection, wanted, secret, position).await?;
            // It expires until the next start finds it in the state.
            store.write(&state)?;
            if store.is_kept() {
                webhook::keep(client, state.webhook).await?;
            }
            state
        }
    };
    // Whoever publishes once this command says that it forwards must not be too early.
    if state.position.begins_with_poll() {
        let now = PollPosition { cursor: None, from: Some(state.position.from.clone()) };
        state.position.cursor = Some(client.poll_webhook(state.webhook, &now, None).await?.value.next_cursor);
    }
    store.write(&state)?;
    Ok(state)
}

/// Prints where events go, and the secret.
fn greet(
    session: &Session,
    state: &State,
    wanted: &Wanted,
    (receiver, with_keys): (&Receiver, bool),
) -> io::Result<()> {
    let out = session.out;
    let (events, url, receiver) = (wanted.events.join(", "), &session.connection.url, receiver.shown_url());
    if out.json {
        lines::say(&format!("Forwarding {events} of {url} to {receiver}."));
        lines::say(&format!("Signing secret: {}", visible(&state.secret)));
        return Ok(());
    }
    let strong = |text: &str| out.paint(Style::Strong, text);
    out.line(&format!("{}  {}", strong("forwarding to "), visible(&receiver)))?;
    out.line(&format!("{}  {events} of {url}", strong("events        ")))?;
    out.line(&format!("{}  {}", strong("signing secret"), visible(&state.secret)))?;
    let keys =
        if with_keys { "r sends the latest event again, s skips one that fails, Enter tries it now, " } else { "" };
    out.line(&out.paint(Style::Faint, &format!("{keys}Ctrl-C ends it")))
}
