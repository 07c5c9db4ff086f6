//! The publish limit of each account, in events a second. All processes share one limit, which the table keeps. Each process
//! reserves a block of events there and uses it up, so that few publications wait for a write.

use crate::problem::Problem;
use application::App;
use domain::{account::AccountId, time::Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use store::account_limits::{self, Limited, Permit, Rate};
use telemetry::metrics;

/// How many blocks the events of one second are reserved in. A process keeps the unused events of its block for later, so the
/// limit is exceeded by at most one block for each process.
const BLOCKS_A_SECOND: u32 = 20;
/// How far publications may run ahead of the limit.
const BURST: Duration = Duration::from_secs(1);
/// How long a process keeps unused events.
const KEPT: Duration = Duration::from_secs(60);
/// The most accounts whose unused events are kept. A full map is cleared.
const ACCOUNTS_MAX: usize = 10_000;

/// The events that this process has reserved and not used yet, for each account.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<AccountId, Unused>>);

/// Reserved events that are not used yet.
#[derive(Clone, Copy, Debug)]
struct Unused {
    events: u32,
    /// When they expire.
    until: Timestamp,
}

impl Throttle {
    /// Admits a request that publishes `events` events of `account`.
    ///
    /// # Errors
    /// 429 if the account has reached its limit. Unused events are kept.
    pub(crate) async fn admit(&self, app: &App, account: &AccountId, events: usize) -> Result<(), Problem> {
        let Some(per_second) = app.publish_rate_limit else { return Ok(()) };
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let missing = self.take_unused(account, events, app.clock.now());
        if missing == 0 {
            return Ok(());
        }
        let block = missing.max(per_second.get() / BLOCKS_A_SECOND);
        let rate = Rate { per_second: per_second.get(), burst: BURST };
        match account_limits::reserve(&app.store, account, Limited::Publication, block, rate).await? {
            Permit::Granted => {
                self.keep_unused(account, block - missing, app.clock.now());
                Ok(())
            }
            Permit::After(wait) => {
                self.keep_unused(account, events - missing, app.clock.now());
                let _account = tracing::error_span!("publication", %account).entered();
                metrics::throttled("publication", events.into());
                Err(Problem::too_many_events(wait))
            }
        }
    }

    /// Takes up to `events` events from earlier blocks, and returns how many are missing.
    fn take_unused(&self, account: &AccountId, events: u32, now: Timestamp) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = all.get_mut(account).filter(|unused| now < unused.until);
        let taken = unused.map_or(0, |unused| {
            let taken = unused.events.min(events);
            unused.events -= taken;
            taken
        });
        events - taken
    }

    /// Keeps `events` reserved events for later requests.
    fn keep_unused(&self, account: &AccountId, events: u32, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ACCOUNTS_MAX {
            all.clear();
        }
        let unused = all.entry(account.clone()).or_insert(Unused { events: 0, until: now });
        let kept = if now < unused.until { unused.events } else { 0 };
        *unused = Unused { events: kept.saturating_add(events), until: now.plus(KEPT) };
    }
}
