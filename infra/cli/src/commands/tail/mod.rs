//! `hookline tail`: follows the newest events and the fate of their deliveries.
//!
//! | file | holds |
//! |---|---|
//! | `feed.rs` | events that were not seen yet, from the newest pages of the list |
//! | `followed.rs` | the events whose deliveries may still change |
//! | `lines.rs` | what is printed |

mod feed;
mod followed;
mod lines;

use super::Session;
use crate::{client::Error, ends::Ends};
use clap::Args;
use domain::event_type::Subscription;
use feed::Feed;
use followed::Followed;
use std::{process::ExitCode, time::Duration};

/// How often new events are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait after a lost connection.
const RECONNECT_MAX: Duration = Duration::from_secs(15);

/// What to follow.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only events of these types: exact names, prefixes such as resource.*, or *.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    events: Vec<Subscription>,
    /// How many of the latest events to begin with, up to 100.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=100))]
    last: u16,
}

impl Tail {
    /// Follows until Ctrl-C or SIGTERM.
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let mut ends = Ends::listen()?;
        tokio::select! {
            ended = self.follow(session) => ended,
            () = ends.next() => Ok(ExitCode::SUCCESS),
        }
    }

    async fn follow(self, session: &Session) -> anyhow::Result<ExitCode> {
        let (mut feed, mut followed) = (Feed::new(self.events, self.last.into()), Followed::default());
        if !session.out.json {
            eprintln!("Following the events of {}; Ctrl-C ends it.", session.connection.url);
        }
        let (mut lost, mut wait) = (false, LOOK_EVERY);
        loop {
            match look(session, &mut feed, &mut followed).await {
                Ok(()) if lost => {
                    eprintln!("Connected again.");
                    (lost, wait) = (false, LOOK_EVERY);
                }
                Ok(()) => {}
                Err(error) if error.downcast_ref().is_some_and(Error::is_outage) => {
                    if !lost {
                        eprintln!("The connection is lost, trying again: {error}");
                    }
                    (lost, wait) = (true, (wait * 2).min(RECONNECT_MAX));
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// Prints what is new. After an error, a later look begins where this one ended.
async fn look(session: &Session, feed: &mut Feed, followed: &mut Followed) -> anyhow::Result<()> {
    for event in feed.new_events(&session.client).await? {
        followed.begin(session.out, event)?;
    }
    followed.look(session).await
}
