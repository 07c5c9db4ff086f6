//! Bounds on the requests that one client has under way and on the connections that it keeps alive: in all, and to one target
//! (a host and a port).
//!
//! A request is admitted before it is made, and before its lease is acquired, so that the wait does not use up the lease. The
//! caller bounds the wait. If a request is not admitted in time, its task is requeued.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use telemetry::log::LogLimit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most requests to one target at once, by all webhooks together. The local process limits each webhook to the same number
/// (ADR 12). This limit is per target, because it is a host that hangs, not a webhook.
const REQUESTS_PER_TARGET_MAX: usize = 256;
/// One target may use at most this fraction (one over the number) of all requests, so that a target that hangs leaves room for
/// others.
const TARGETS_AT_LEAST: usize = 4;
/// The most connections that are kept alive for one target: as many as a burst to it uses at once.
pub(super) const IDLE_PER_TARGET_MAX: usize = 64;
/// How long the connections of an unused target still count. The pool keeps them for half of this time, but looks for expired
/// connections only that often.
const KEPT_FOR: Duration = Duration::from_secs(8);

/// Bounds on what one client may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests under way at once. Each uses a connection.
    pub requests: usize,
    /// Connections that are kept alive for later requests.
    pub idle_connections: usize,
    /// Name lookups at once. Each uses a thread and its sockets.
    pub look_ups: usize,
}

/// The bounds for a Lambda function, which has 1,024 file descriptors and sends a batch of 10 at a time.
impl Default for Bounds {
    fn default() -> Self {
        Self { requests: 512, idle_connections: 128, look_ups: 128 }
    }
}

/// Admits requests within [`Bounds`]. Clones share the bounds.
#[derive(Clone)]
pub(super) struct Admission(Arc<Shared>);

struct Shared {
    permits: Arc<Semaphore>,
    requests_max: usize,
    permits_per_target: usize,
    idle_max: usize,
    targets: Mutex<Targets>,
    log_limit: LogLimit,
}

#[derive(Default)]
struct Targets {
    all: HashMap<String, Target>,
    /// Kept-alive connections to all targets, in use or idle.
    connections: usize,
    swept: Option<Instant>,
}

struct Target {
    permits: Arc<Semaphore>,
    /// Requests that wait for admission or are under way.
    requests: usize,
    /// Requests under way whose connections are kept alive.
    keep_alive_requests: usize,
    /// Kept-alive connections, in use or idle: as many as were ever in use at once.
    connections: usize,
    used: Instant,
}

/// The right to make one request. Dropping it makes room for another one.
pub(super) struct Permit {
    /// Whether the request's connection may be kept alive for the next request.
    pub(super) keep_alive: bool,
    counted: CountedRequest,
    _target: OwnedSemaphorePermit,
    _process: OwnedSemaphorePermit,
}

/// Counts a request to a target while it waits for admission or is under way.
struct CountedRequest {
    admission: Admission,
    target: String,
}

impl Admission {
    pub(super) fn new(bounds: Bounds) -> Self {
        let share = (bounds.requests / TARGETS_AT_LEAST).max(1);
        Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(bounds.requests)),
            requests_max: bounds.requests,
            permits_per_target: share.min(REQUESTS_PER_TARGET_MAX),
            idle_max: bounds.idle_connections,
            targets: Mutex::default(),
            log_limit: LogLimit::new(),
        }))
    }

    /// Waits until one more request to `target` may be under way. It applies the target's own bound first, so that requests to
    /// a target that hangs wait only for each other and do not use up the bound on all requests.
    pub(super) async fn admit(&self, target: String) -> Permit {
        let (counted, permits) = self.count(target);
        let of_target = self.acquire(permits, "concurrent requests to one target").await;
        let of_process = self.acquire(Arc::clone(&self.0.permits), "concurrent requests in all").await;
        let keep_alive = self.reserve_connection(&counted.target);
        Permit { keep_alive, counted, _target: of_target, _process: of_process }
    }

    /// Returns how many requests are admitted now.
    pub(super) fn admitted(&self) -> usize {
        self.0.requests_max - self.0.permits.available_permits()
    }

    async fn acquire(&self, permits: Arc<Semaphore>, what: &str) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            return permit;
        }
        if self.0.log_limit.allows() {
            tracing::warn!("requests to receivers wait: the bound on {what} is reached");
        }
        permits.acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Counts a request to `target` from now on. Returns the target's permits with it.
    fn count(&self, target: String) -> (CountedRequest, Arc<Semaphore>) {
        let mut targets = self.targets();
        targets.sweep();
        let entry = targets.all.entry(target.clone()).or_insert_with(|| Target {
            permits: Arc::new(Semaphore::new(self.0.permits_per_target)),
            requests: 0,
            keep_alive_requests: 0,
            connections: 0,
            used: Instant::now(),
        });
        entry.requests += 1;
        (CountedRequest { admission: self.clone(), target }, Arc::clone(&entry.permits))
    }

    /// Reserves a kept-alive connection for a request to `target`. Returns false if there are too many already; the request
    /// must then close its connection.
    fn reserve_connection(&self, target: &str) -> bool {
        let mut targets = self.targets();
        let Targets { all, connections, .. } = &mut *targets;
        let Some(target) = all.get_mut(target) else { return false };
        if target.keep_alive_requests >= target.connections && target.connections < IDLE_PER_TARGET_MAX {
            if *connections >= self.0.idle_max {
                return false;
            }
            target.connections += 1;
            *connections += 1;
        }
        target.keep_alive_requests += 1;
        true
    }

    fn targets(&self) -> MutexGuard<'_, Targets> {
        self.0.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Targets {
    /// Forgets the targets to which nothing was sent for so long that the pool has closed their connections.
    fn sweep(&mut self) {
        let now = Instant::now();
        if self.swept.is_some_and(|swept| now.duration_since(swept) < KEPT_FOR / 4) {
            return;
        }
        self.swept = Some(now);
        let connections = &mut self.connections;
        self.all.retain(|_, target| {
            let is_used = target.requests > 0 || now.duration_since(target.used) < KEPT_FOR;
            if !is_used {
                *connections -= target.connections;
            }
            is_used
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.keep_alive
            && let Some(target) = self.counted.admission.targets().all.get_mut(&self.counted.target)
        {
            target.keep_alive_requests -= 1;
        }
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        if let Some(target) = self.admission.targets().all.get_mut(&self.target) {
            target.requests -= 1;
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
        f.debug_struct("Permit").field("keep_alive", &self.keep_alive).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn admission(requests: usize, idle_connections: usize) -> Admission {
        Admission::new(Bounds { requests, idle_connections, look_ups: 1 })
    }

    /// Returns a permit if the request is admitted at once.
    fn admit_now(admission: &Admission, target: &str) -> Option<Permit> {
        admission.admit(target.to_owned()).now_or_never()
    }

    #[test]
    fn a_target_has_only_its_share_of_all_requests() {
        let admission = admission(16, 0);
        let hanging: Vec<_> = (0..16).filter_map(|_| admit_now(&admission, "hanging")).collect();
        assert_eq!(hanging.len(), 4);
        let others: Vec<_> = (0..16).filter_map(|target| admit_now(&admission, &format!("other-{target}"))).collect();
        assert_eq!(others.len(), 12, "a request that waits for its target does not count in all");
        drop(hanging);
        assert!(admit_now(&admission, "hanging").is_some());
    }

    #[test]
    fn a_target_has_at_most_256_requests_under_way() {
        let admission = admission(10_000, 0);
        let permits: Vec<_> = (0..1_000).filter_map(|_| admit_now(&admission, "receiver")).collect();
        assert_eq!(permits.len(), REQUESTS_PER_TARGET_MAX);
    }

    #[test]
    fn connections_are_kept_alive_up_to_the_bound() {
        let admission = admission(100, 3);
        let first: Vec<_> = (0..2).filter_map(|_| admit_now(&admission, "first")).collect();
        assert!(first.iter().all(|permit| permit.keep_alive));
        let others: Vec<_> = (0..3).filter_map(|target| admit_now(&admission, &format!("other-{target}"))).collect();
        assert_eq!(others.iter().filter(|permit| permit.keep_alive).count(), 1);
        drop(first);
        // The first target's two connections are idle now, and one of them is used again.
        assert!(admit_now(&admission, "first").is_some_and(|permit| permit.keep_alive));
        drop(others);
        let mut targets = admission.targets();
        for target in targets.all.values_mut() {
            target.used -= KEPT_FOR;
        }
        targets.swept = None;
        targets.sweep();
        assert_eq!((targets.all.len(), targets.connections), (0, 0), "no target is remembered forever");
    }

    #[tokio::test]
    async fn a_request_that_stops_waiting_is_no_longer_counted() {
        let admission = admission(4, 0);
        let held = admit_now(&admission, "receiver").expect("the first request is admitted");
        for _ in 0..3 {
            let waited = tokio::time::timeout(Duration::from_millis(5), admission.admit("receiver".to_owned())).await;
            assert!(waited.is_err());
        }
        assert_eq!(admission.targets().all["receiver"].requests, 1);
        drop(held);
        assert_eq!(admission.targets().all["receiver"].requests, 0);
        assert!(admit_now(&admission, "receiver").is_some());
    }
}
