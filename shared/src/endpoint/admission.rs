//! How many requests one client has under way, and how many connections it keeps: in all, and to one target (a host and a
//! port). A request is admitted before it is made. Whoever holds a lease for it would otherwise let the lease run out, so
//! waiting is short, and who is not admitted gives the work back.

use crate::log::Seldom;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests to one target at once, whichever webhooks name it: the share that one webhook has of the local process (ADR 12),
/// since what hangs is a host and not a webhook.
const REQUESTS_PER_TARGET_MAX: usize = 256;
/// The part of all requests that one target may have where that is less: those that hang leave room for others.
const TARGETS_AT_LEAST: usize = 4;
/// Connections kept for one target: as many as a burst to it uses at once.
pub(super) const IDLE_PER_TARGET_MAX: usize = 64;
/// How long a target that nothing is sent to counts with the connections kept for it: twice as long as the pool keeps them,
/// since the pool looks for expired ones only that often.
const KEPT_FOR: Duration = Duration::from_secs(8);

/// What one client may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests under way at once, each of them a connection.
    pub requests: usize,
    /// Connections kept for the next request.
    pub idle_connections: usize,
    /// Name look-ups at once, each of them a thread and its sockets.
    pub look_ups: usize,
}

/// For a Lambda function, which has 1,024 file descriptors and sends a batch of 10 at a time.
impl Default for Bounds {
    fn default() -> Self {
        Self { requests: 512, idle_connections: 128, look_ups: 128 }
    }
}

/// Admits requests under [`Bounds`]. Clones share them.
#[derive(Clone)]
pub(super) struct Admission(Arc<Shared>);

struct Shared {
    requests: Arc<Semaphore>,
    requests_per_target: usize,
    idle_max: usize,
    targets: Mutex<Targets>,
    told: Seldom,
}

#[derive(Default)]
struct Targets {
    all: HashMap<String, Target>,
    /// Connections kept for all targets.
    kept: usize,
    swept: Option<Instant>,
}

struct Target {
    requests: Arc<Semaphore>,
    /// Requests that are admitted or wait for it.
    users: usize,
    /// Requests under way whose connections are kept.
    keeping: usize,
    /// Connections that are open or idle: as many as were ever in use at once.
    kept: usize,
    used: Instant,
}

/// The right to make one request. It ends when this is dropped.
pub(super) struct Permit {
    /// Whether the request's connection may be kept for the next one.
    pub(super) keeps: bool,
    user: User,
    _target: OwnedSemaphorePermit,
    _process: OwnedSemaphorePermit,
}

/// Keeps a target's place while a request waits for it or is under way.
struct User {
    admission: Admission,
    target: String,
}

impl Admission {
    pub(super) fn new(bounds: Bounds) -> Self {
        let share = (bounds.requests / TARGETS_AT_LEAST).max(1);
        Self(Arc::new(Shared {
            requests: Arc::new(Semaphore::new(bounds.requests)),
            requests_per_target: share.min(REQUESTS_PER_TARGET_MAX),
            idle_max: bounds.idle_connections,
            targets: Mutex::default(),
            told: Seldom::new(),
        }))
    }

    /// Waits for a request to `target` to be admitted. First comes the target's own bound, so that requests to a target
    /// that hangs wait for one another and not in everybody's way.
    pub(super) async fn admit(&self, target: String) -> Permit {
        let (user, requests) = self.enter(target);
        let of_target = self.acquire(requests, "requests to one target").await;
        let of_process = self.acquire(Arc::clone(&self.0.requests), "requests in all").await;
        let keeps = self.keep(&user.target);
        Permit { keeps, user, _target: of_target, _process: of_process }
    }

    async fn acquire(&self, permits: Arc<Semaphore>, what: &str) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            return permit;
        }
        if self.0.told.now() {
            tracing::warn!("requests to receivers wait: the bound on {what} at once is reached");
        }
        permits.acquire_owned().await.expect("nobody closes the semaphore")
    }

    fn enter(&self, target: String) -> (User, Arc<Semaphore>) {
        let mut targets = self.targets();
        targets.sweep();
        let entry = targets.all.entry(target.clone()).or_insert_with(|| Target {
            requests: Arc::new(Semaphore::new(self.0.requests_per_target)),
            users: 0,
            keeping: 0,
            kept: 0,
            used: Instant::now(),
        });
        entry.users += 1;
        (User { admission: self.clone(), target }, Arc::clone(&entry.requests))
    }

    /// Whether the connection of a request to `target` may be kept. Where there is no room for more, its connection is
    /// closed after it.
    fn keep(&self, target: &str) -> bool {
        let mut targets = self.targets();
        let Targets { all, kept, .. } = &mut *targets;
        let Some(target) = all.get_mut(target) else { return false };
        if target.keeping >= target.kept && target.kept < IDLE_PER_TARGET_MAX {
            if *kept >= self.0.idle_max {
                return false;
            }
            target.kept += 1;
            *kept += 1;
        }
        target.keeping += 1;
        true
    }

    fn targets(&self) -> MutexGuard<'_, Targets> {
        self.0.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Targets {
    /// Forgets the targets that nothing was sent to for so long that no connection to them is kept any more.
    fn sweep(&mut self) {
        let now = Instant::now();
        if self.swept.is_some_and(|swept| now.duration_since(swept) < KEPT_FOR / 4) {
            return;
        }
        self.swept = Some(now);
        let kept = &mut self.kept;
        self.all.retain(|_, target| {
            let is_used = target.users > 0 || now.duration_since(target.used) < KEPT_FOR;
            if !is_used {
                *kept -= target.kept;
            }
            is_used
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.keeps
            && let Some(target) = self.user.admission.targets().all.get_mut(&self.user.target)
        {
            target.keeping -= 1;
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(target) = self.admission.targets().all.get_mut(&self.target) {
            target.users -= 1;
            target.used = Instant::now();
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("keeps", &self.keeps).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn admission(requests: usize, idle_connections: usize) -> Admission {
        Admission::new(Bounds { requests, idle_connections, look_ups: 1 })
    }

    /// A permit that is there to be had at once.
    fn now(admission: &Admission, target: &str) -> Option<Permit> {
        admission.admit(target.to_owned()).now_or_never()
    }

    #[test]
    fn a_target_has_a_share_and_leaves_the_rest_to_others() {
        let admission = admission(16, 0);
        let hanging: Vec<_> = (0..16).filter_map(|_| now(&admission, "hanging")).collect();
        assert_eq!(hanging.len(), 4);
        let others: Vec<_> = (0..16).filter_map(|target| now(&admission, &format!("other-{target}"))).collect();
        assert_eq!(others.len(), 12, "what waits for its target holds nothing of all");
        drop(hanging);
        assert!(now(&admission, "hanging").is_some());
    }

    #[test]
    fn a_target_has_no_more_than_one_webhook_may_have_under_way() {
        let admission = admission(10_000, 0);
        let permits: Vec<_> = (0..1_000).filter_map(|_| now(&admission, "receiver")).collect();
        assert_eq!(permits.len(), REQUESTS_PER_TARGET_MAX);
    }

    #[test]
    fn connections_are_kept_while_there_is_room() {
        let admission = admission(100, 3);
        let first: Vec<_> = (0..2).filter_map(|_| now(&admission, "first")).collect();
        assert!(first.iter().all(|permit| permit.keeps));
        let others: Vec<_> = (0..3).filter_map(|target| now(&admission, &format!("other-{target}"))).collect();
        assert_eq!(others.iter().filter(|permit| permit.keeps).count(), 1);
        drop(first);
        // Its two connections are idle now, and used again.
        assert!(now(&admission, "first").is_some_and(|permit| permit.keeps));
        drop(others);
        let mut targets = admission.targets();
        for target in targets.all.values_mut() {
            target.used -= KEPT_FOR;
        }
        targets.swept = None;
        targets.sweep();
        assert_eq!((targets.all.len(), targets.kept), (0, 0), "nothing is remembered for good");
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_nothing_behind() {
        let admission = admission(4, 0);
        let held = now(&admission, "receiver").expect("the first");
        for _ in 0..3 {
            let waited = tokio::time::timeout(Duration::from_millis(5), admission.admit("receiver".to_owned())).await;
            assert!(waited.is_err());
        }
        assert_eq!(admission.targets().all["receiver"].users, 1);
        drop(held);
        assert_eq!(admission.targets().all["receiver"].users, 0);
        assert!(now(&admission, "receiver").is_some());
    }
}
