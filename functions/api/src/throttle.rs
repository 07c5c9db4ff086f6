//! How fast an account may publish. The limit is one for all processes, by the account's pace in the table; each process
//! takes what it needs from there in blocks, so that few publications wait for a write of their own.

use crate::problem::Problem;
use hookline::{app::App, id::AccountId, metrics, store::pace, time::Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Blocks that a second's events are taken in. A process that has taken more than it needs keeps the rest, so that the limit
/// is exceeded by at most a block for each process.
const BLOCKS_A_SECOND: u32 = 20;
/// How long a process keeps the rest of a block.
const KEPT: Duration = Duration::from_secs(60);
/// Accounts whose rests are kept at once.
const ACCOUNTS_MAX: usize = 10_000;

/// What this process has taken for each account and not used yet.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<AccountId, Rest>>);

#[derive(Clone, Copy, Debug)]
struct Rest {
    events: u32,
    until: Timestamp,
}

impl Throttle {
    /// Lets a request with `events` events of `account` pass, or says when to try again.
    pub(crate) async fn admit(&self, app: &App, account: &AccountId, events: usize) -> Result<(), Problem> {
        let Some(per_second) = app.config.publish_rate_limit else { return Ok(()) };
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let missing = self.use_rest(account, events, app.clock.now());
        if missing == 0 {
            return Ok(());
        }
        let block = missing.max(per_second.get() / BLOCKS_A_SECOND);
        match pace::publish(app, account, block, per_second.get()).await? {
            Ok(()) => {
                self.keep_rest(account, block - missing, app.clock.now());
                Ok(())
            }
            Err(wait) => {
                self.keep_rest(account, events - missing, app.clock.now());
                let _account = tracing::error_span!("publication", %account).entered();
                metrics::throttled("publication", events.into());
                Err(Problem::too_many_events(wait))
            }
        }
    }

    /// Uses what is left of earlier blocks; gives how many events are missing.
    fn use_rest(&self, account: &AccountId, events: u32, now: Timestamp) -> u32 {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rests.get_mut(account).filter(|rest| now < rest.until);
        let used = rest.map_or(0, |rest| {
            let used = rest.events.min(events);
            rest.events -= used;
            used
        });
        events - used
    }

    fn keep_rest(&self, account: &AccountId, events: u32, now: Timestamp) {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rests.len() >= ACCOUNTS_MAX {
            rests.clear();
        }
        let rest = rests.entry(account.clone()).or_insert(Rest { events: 0, until: now });
        let kept = if now < rest.until { rest.events } else { 0 };
        *rest = Rest { events: kept.saturating_add(events), until: now.plus(KEPT) };
    }
}
