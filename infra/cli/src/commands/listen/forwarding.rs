//! Polls, forwards each request in order, and keeps the position.

use super::{
    lines,
    position::Remembered,
    receiver::Receiver,
    state::{State, Store},
    trouble::{Kind, Trouble},
    webhook::{self, Wanted},
};
use crate::{
    client::{
        Client, Error,
        webhooks::{PollPosition, PolledRequest, PolledRequests},
    },
    commands::Session,
    connection::{Connection, Source, is_same},
    terminal::Keys,
};
use anyhow::{Context, bail};
use domain::{id::EventId, secret::Secret, signature, time::Clock};
use http::StatusCode;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The most requests of a page.
const PAGE: u32 = 100;
/// The wait after reading a page that ends what there is.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// The first wait after a failure of the receiver, and the longest. It doubles each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How often the position is kept while no event comes, and how often a webhook that expires is kept alive.
const KEEP_EVERY: Duration = Duration::from_secs(60);
const EXTEND_EVERY: Duration = Duration::from_secs(60 * 60);
/// The age of a page that is polled again rather than forwarded: it was signed when it was read, and receivers refuse old
/// signatures, most after 5 min.
const SIGNATURE_AGE_MAX: Duration = Duration::from_secs(60);

/// A listener at work.
pub(super) struct Forwarding<'a> {
    session: &'a Session,
    /// The session's own, or one with the token of a later login.
    connection: Connection,
    client: Client,
    /// Whether no request with this connection has succeeded yet.
    is_new_connection: bool,
    store: Store,
    wanted: Wanted,
    state: State,
    receiver: Receiver,
    trouble: Trouble,
    remembered: Remembered,
    /// The event that the receiver does not take, and how often it was sent.
    failing: Option<(EventId, u32)>,
    /// The latest request that the receiver has taken.
    latest: Option<PolledRequest>,
    kept_at: Instant,
    /// When the webhook's expiry is set anew. `None` if it does not expire.
    expiry_due: Option<Instant>,
}

impl<'a> Forwarding<'a> {
    pub(super) fn new(session: &'a Session, store: Store, wanted: Wanted, state: State, receiver: Receiver) -> Self {
        let now = Instant::now();
        Self {
            session,
            connection: session.connection.clone(),
            client: session.client.clone(),
            is_new_connection: false,
            wanted,
            remembered: Remembered::of(&state.position),
            state,
            receiver,
            trouble: Trouble::none(),
            failing: None,
            latest: None,
            kept_at: now,
            expiry_due: (!store.is_kept()).then(|| now + EXTEND_EVERY),
            store,
        }
    }

    /// Forwards until `ending`, or until something fails that does not pass by itself. An attempt under way is finished.
    pub(super) async fn run(
        &mut self,
        mut keys: Option<Keys>,
        mut ending: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        while !*ending.borrow() {
            let polled = tokio::select! {
                polled = self.poll() => polled,
                _ = ending.changed() => break,
            };
            let wait = match polled {
                Ok(page) => self.forward(page, &ending).await?,
                Err(error) => self.recover(error).await?,
            };
            self.wait(wait, keys.as_mut(), &mut ending).await?;
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<PolledRequests, Error> {
        let now = Instant::now();
        if self.expiry_due.is_some_and(|due| due <= now) {
            if self.store.is_kept() {
                webhook::keep(&self.client, self.state.webhook).await?;
            } else {
                webhook::extend(&self.client, self.state.webhook).await?;
            }
            self.expiry_due = (!self.store.is_kept()).then(|| now + EXTEND_EVERY);
        }
        let position = &self.state.position;
        let position = PollPosition { cursor: position.cursor.clone(), from: Some(position.from.clone()) };
        Ok(self.client.poll_webhook(self.state.webhook, &position, Some(PAGE)).await?.value)
    }

    /// Forwards a page and moves behind it. Returns how long to wait before the next poll.
    async fn forward(&mut self, page: PolledRequests, ending: &watch::Receiver<bool>) -> anyhow::Result<Duration> {
        self.trouble.ends();
        self.is_new_connection = false;
        let read_at = Instant::now();
        for request in &page.data {
            let id = request.headers.get("webhook-id").and_then(|id| id.parse().ok());
            let id: EventId = id.context("a request of the server has no event id")?;
            if self.remembered.has(id) {
                continue;
            }
            if *ending.borrow() || read_at.elapsed() > SIGNATURE_AGE_MAX {
                return Ok(Duration::ZERO);
            }
            if let Some(wait) = self.attempt(id, request).await? {
                return Ok(wait);
            }
        }
        let had_events = !page.data.is_empty();
        self.move_to(page.next_cursor, had_events)?;
        Ok(if page.has_more { Duration::ZERO } else { POLL_EVERY.saturating_sub(read_at.elapsed()) })
    }

    /// Sends an event to the receiver. Returns the wait before the next attempt, if it needs one.
    async fn attempt(&mut self, id: EventId, request: &PolledRequest) -> anyhow::Result<Option<Duration>> {
        let number = self.failing.filter(|(failing, _)| *failing == id).map_or(1, |(_, tries)| tries + 1);
        let outcome = self.receiver.send(request, number).await;
        let wait = if outcome.is_taken() {
            self.latest = Some(request.clone());
            self.done(id)?;
            None
        } else {
            self.failing = Some((id, number));
            Some((RETRY_FIRST * 2_u32.saturating_pow(number - 1)).min(RETRY_MAX))
        };
        lines::attempt(self.session.out, request, number, &outcome, wait)?;
        Ok(wait)
    }

    /// Notes that an event needs no more attempt.
    fn done(&mut self, id: EventId) -> anyhow::Result<()> {
        self.failing = None;
        self.remembered.add(id);
        self.state.position.add(id);
        self.store.note(id)
    }

    /// Moves the cursor behind a page.
    fn move_to(&mut self, cursor: String, had_events: bool) -> anyhow::Result<()> {
        let is_first = self.state.position.cursor.is_none();
        self.state.position.cursor = Some(cursor);
        // While no event comes, the cursor of before reads the same, and the disk is left alone.
        if had_events || is_first || self.kept_at.elapsed() > KEEP_EVERY { self.keep() } else { Ok(()) }
    }

    fn keep(&mut self) -> anyhow::Result<()> {
        self.kept_at = Instant::now();
        self.store.write(&self.state)
    }

    /// Decides what to do after a failed poll. Returns how long to wait.
    async fn recover(&mut self, error: Error) -> anyhow::Result<Duration> {
        if webhook::is_gone(&error) {
            return self.register_again().await;
        }
        match Kind::of(&error) {
            // A token that was given stays the same.
            Some(Kind::Token) if self.connection.token_source == Source::Given => Err(error.into()),
            Some(kind) => {
                if kind == Kind::Token {
                    self.take_later_login()?;
                }
                Ok(self.trouble.begins(kind, &error))
            }
            None => Err(error.into()),
        }
    }

    /// Takes the token that somebody may have stored meanwhile.
    fn take_later_login(&mut self) -> anyhow::Result<()> {
        // What is stored may be gone, or be about another API or account, whose events are not wanted.
        let Ok(stored) = Connection::choose(self.session.given.clone()) else { return Ok(()) };
        let before = &self.connection;
        let is_same_api = is_same(&stored.url, &before.url) && stored.account == before.account;
        if is_same_api && stored.token != before.token {
            self.client = Client::new(&stored)?;
            self.connection = stored;
            self.is_new_connection = true;
        }
        Ok(())
    }

    /// Registers another webhook in place of one that is gone, and goes on at the same position.
    async fn register_again(&mut self) -> anyhow::Result<Duration> {
        let State { webhook, secret, position, .. } = self.state.clone();
        if self.is_new_connection {
            bail!("the token of the later login does not see {webhook}: log in to the account of this listener again");
        }
        match webhook::register(&self.client, &self.connection, &self.wanted, Some(secret), position).await {
            Ok(state) => {
                lines::say("The webhook was deleted; another one with the same signing secret takes its place.");
                self.state = state;
                self.keep()?;
                self.expiry_due = Some(Instant::now());
                Ok(POLL_EVERY)
            }
            Err(error) => match Kind::of(&error) {
                Some(kind @ (Kind::Connection | Kind::Token)) => Ok(self.trouble.begins(kind, &error)),
                // The account may have as many webhooks as it may have.
                Some(Kind::Disabled) | None => Err(error.into()),
            },
        }
    }

    /// Waits, and does what the keys ask for.
    async fn wait(
        &mut self,
        wait: Duration,
        keys: Option<&mut Keys>,
        ending: &mut watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + wait;
        let Some(keys) = keys else {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                _ = ending.changed() => {}
            }
            return Ok(());
        };
        loop {
            let key = tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(()),
                _ = ending.changed() => return Ok(()),
                key = keys.next() => key,
            };
            match (key, self.failing) {
                ('r', _) => self.send_again().await?,
                ('s', Some((id, _))) => {
                    lines::say(&format!("Skipped {id}."));
                    return self.done(id);
                }
                ('\n' | '\r', Some(_)) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Sends the latest request once more, signed anew.
    async fn send_again(&mut self) -> anyhow::Result<()> {
        let Some(mut request) = self.latest.clone() else {
            lines::say("No event has been forwarded yet.");
            return Ok(());
        };
        let now_s = Clock::system().now().unix_seconds();
        let id = request.headers.get("webhook-id").cloned().unwrap_or_default();
        if let Ok(secret) = Secret::parse(&self.state.secret) {
            let signed = signature::standard([&secret], &id, now_s, request.body.as_bytes());
            request.headers.insert("webhook-timestamp".to_owned(), now_s.to_string());
            request.headers.insert("webhook-signature".to_owned(), signed);
        }
        let outcome = self.receiver.send(&request, 1).await;
        lines::attempt(self.session.out, &request, 1, &outcome, None)?;
        Ok(())
    }

    /// Deletes the webhook, unless it is kept for the next start.
    pub(super) async fn end(&mut self) {
        if self.store.is_kept() {
            return;
        }
        match self.client.delete_webhook(self.state.webhook).await {
            Ok(_) => {}
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {}
            Err(error) => lines::say(&format!("The webhook could not be deleted; it expires in a day: {error}")),
        }
    }
}
