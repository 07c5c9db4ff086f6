//! Name lookups, on threads of their own.
//!
//! The system's resolver blocks its thread, for up to half a minute if the name servers are silent. On tokio's threads for
//! blocking work, a few silent names would occupy all threads, because each waiting request would occupy one. Other work that
//! needs such a thread (the local process's `fsync`) would then wait for name servers. Therefore:
//! - Each name has one lookup under way at a time, however many requests wait for it.
//! - The number of lookups at once is bounded. Names that were slow the last time may use only three quarters of the threads.
//! - A lookup is not started if all requests stop waiting for it before it has a thread.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// A name is slow if its lookup takes longer than this. Name servers answer within tens of milliseconds, and a resolver asks
/// again after 5 s.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// The most slow names that are remembered, which take a few hundred KiB. Later slow names are treated like any other.
const SLOW_NAMES_MAX: usize = 4_096;
/// The stack of a lookup's thread. The C library's resolver uses some 100 KiB of it. The unused part costs no memory.
const STACK_BYTES: usize = 512 * 1024;

/// The result of a lookup, shared by all requests that wait for it.
type LookupResult = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// Looks names up on a bounded number of threads. Clones share the threads.
#[derive(Clone)]
pub(super) struct Lookups(Arc<Shared>);

struct Shared {
    look_up: Box<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>,
    threads: Arc<Semaphore>,
    /// The part of the threads that slow names may use.
    slow_threads: Arc<Semaphore>,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    under_way: HashMap<String, watch::Sender<Option<LookupResult>>>,
    slow: HashSet<String>,
}

/// The right to use a thread.
struct ThreadPermit {
    _slow: Option<OwnedSemaphorePermit>,
    _thread: OwnedSemaphorePermit,
}

impl Lookups {
    /// Looks names up with `look_up`, which may block, on at most `threads_max` threads.
    pub(super) fn new(
        threads_max: usize,
        look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        let slow_max = (threads_max * 3 / 4).max(1);
        Self(Arc::new(Shared {
            look_up: Box::new(look_up),
            threads: Arc::new(Semaphore::new(threads_max)),
            slow_threads: Arc::new(Semaphore::new(slow_max)),
            names: Mutex::default(),
        }))
    }

    /// Returns the addresses of `name`. If the future is dropped, the lookup goes on for the other requests that wait for it.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut answer = self.join(name);
        let answered =
            answer.wait_for(Option::is_some).await.map_err(|_| io::Error::other("the lookup was abandoned"))?;
        match answered.as_ref() {
            Some(Ok(addresses)) => Ok(addresses.to_vec()),
            Some(Err(error)) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            None => Err(io::Error::other("the lookup was abandoned")),
        }
    }

    /// Subscribes to the lookup of `name` that is under way, or starts one.
    fn join(&self, name: &str) -> watch::Receiver<Option<LookupResult>> {
        let mut names = self.names();
        if let Some(under_way) = names.under_way.get(name) {
            return under_way.subscribe();
        }
        let (answer, waiting) = watch::channel(None);
        names.under_way.insert(name.to_owned(), answer.clone());
        drop(names);
        let lookup = Lookup { lookups: self.clone(), name: name.to_owned(), answer };
        tokio::spawn(lookup.run());
        waiting
    }

    /// Waits until a thread may be used for `name`.
    async fn thread_permit(&self, name: &str) -> Option<ThreadPermit> {
        let is_slow = self.names().slow.contains(name);
        let slow = if is_slow { Some(Arc::clone(&self.0.slow_threads).acquire_owned().await.ok()?) } else { None };
        Some(ThreadPermit { _slow: slow, _thread: Arc::clone(&self.0.threads).acquire_owned().await.ok()? })
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers whether the last lookup of `name` was slow.
    fn remember(&self, name: &str, is_slow: bool) {
        let slow = &mut self.names().slow;
        if !is_slow {
            slow.remove(name);
        } else if slow.len() < SLOW_NAMES_MAX {
            slow.insert(name.to_owned());
        }
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}

/// The lookup of one name, from its first request to its result.
struct Lookup {
    lookups: Lookups,
    name: String,
    answer: watch::Sender<Option<LookupResult>>,
}

impl Lookup {
    async fn run(self) {
        let permit = tokio::select! {
            permit = self.lookups.thread_permit(&self.name) => permit,
            () = self.abandoned() => None,
        };
        let Some(permit) = permit else { return };
        let mut found = self.start(permit);
        let answer = match tokio::time::timeout(SLOW_AFTER, &mut found).await {
            Ok(answer) => {
                self.lookups.remember(&self.name, false);
                answer
            }
            Err(_) => {
                self.lookups.remember(&self.name, true);
                found.await
            }
        };
        let answer = answer.unwrap_or_else(|_| Err(io::Error::other("the lookup ended without a result")));
        self.answer.send_replace(Some(answer.map(Arc::from).map_err(Arc::new)));
    }

    /// Starts a thread that looks the name up. It holds the permit until it ends, even if nobody waits for the result any more.
    fn start(&self, permit: ThreadPermit) -> oneshot::Receiver<io::Result<Vec<SocketAddr>>> {
        let (sender, found) = oneshot::channel();
        let (shared, name) = (Arc::clone(&self.lookups.0), self.name.clone());
        let thread = thread::Builder::new().name("lookup".to_owned()).stack_size(STACK_BYTES);
        let started = thread.spawn(move || {
            let addresses = (shared.look_up)(&name);
            drop(permit);
            // Nobody may be waiting any more.
            let _ = sender.send(addresses);
        });
        if let Err(error) = started {
            tracing::warn!(%error, "a thread for a name lookup could not be started");
        }
        found
    }

    /// Returns when no request waits for the result any more. The next request for the name starts another lookup.
    async fn abandoned(&self) {
        loop {
            self.answer.closed().await;
            let mut names = self.lookups.names();
            if self.answer.receiver_count() == 0 {
                names.under_way.remove(&self.name);
                return;
            }
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let mut names = self.lookups.names();
        // After this lookup was abandoned, another one of the same name may have started. It must stay.
        if names.under_way.get(&self.name).is_some_and(|other| other.same_channel(&self.answer)) {
            names.under_way.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::{
        net::Ipv4Addr,
        sync::{
            Condvar,
            atomic::{AtomicUsize, Ordering},
        },
        time::Instant,
    };

    const QUICK: Duration = Duration::from_millis(100);

    /// Name servers that do not answer until this is dropped.
    struct Silence(Arc<(Mutex<bool>, Condvar)>);

    impl Drop for Silence {
        fn drop(&mut self) {
            *self.0.0.lock().expect("the lock is not poisoned") = true;
            self.0.1.notify_all();
        }
    }

    /// Returns lookups that hang for names that begin with `silent`, and a count of the lookups that were started.
    fn scripted(threads_max: usize) -> (Lookups, Silence, Arc<AtomicUsize>) {
        let (silence, count) = (Silence(Arc::default()), Arc::new(AtomicUsize::new(0)));
        let (silent, counter) = (Arc::clone(&silence.0), Arc::clone(&count));
        let lookups = Lookups::new(threads_max, move |name| {
            counter.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("silent") {
                let is_over = silent.0.lock().expect("the lock is not poisoned");
                drop(silent.1.wait_while(is_over, |is_over| !*is_over).expect("the lock is not poisoned"));
            }
            Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
        });
        (lookups, silence, count)
    }

    async fn looked_up_within(lookups: &Lookups, name: &str, time: Duration) -> bool {
        tokio::time::timeout(time, lookups.addresses(name)).await.is_ok_and(|found| found.is_ok())
    }

    #[tokio::test]
    async fn silent_names_use_one_thread_each_and_do_not_delay_others() {
        let (lookups, silence, count) = scripted(128);
        for names in [4, 100] {
            let requests = (0..names * 5).map(|request| {
                let (lookups, name) = (lookups.clone(), format!("silent-{}.example", request % names));
                tokio::spawn(async move { looked_up_within(&lookups, &name, Duration::from_secs(5)).await })
            });
            let requests: Vec<_> = requests.collect();
            let started = Instant::now();
            assert!(looked_up_within(&lookups, &format!("healthy-{names}.example"), QUICK).await);
            assert!(started.elapsed() < QUICK, "{:?}", started.elapsed());
            while count.load(Ordering::SeqCst) < names + if names == 4 { 1 } else { 2 } {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for request in requests {
                request.abort();
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), 102, "one lookup for each name");
        drop(silence);
        while !lookups.names().under_way.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(looked_up_within(&lookups, "silent-1.example", QUICK).await);
    }

    #[tokio::test]
    async fn slow_names_leave_threads_for_others() {
        let (lookups, silence, _) = scripted(4);
        for name in 0..8 {
            lookups.remember(&format!("silent-{name}.example"), true);
        }
        let waiting = join_all((0..8).map(|name| {
            let lookups = lookups.clone();
            async move { looked_up_within(&lookups, &format!("silent-{name}.example"), QUICK * 2).await }
        }));
        let (found, quick) = tokio::join!(waiting, looked_up_within(&lookups, "healthy.example", QUICK));
        assert!(quick && found.iter().all(|&found| !found));
        drop(silence);
    }

    #[tokio::test]
    async fn an_abandoned_lookup_is_not_started() {
        let (lookups, silence, count) = scripted(1);
        assert!(!looked_up_within(&lookups, "silent.example", QUICK).await);
        assert!(!looked_up_within(&lookups, "late.example", QUICK).await);
        while lookups.names().under_way.contains_key("late.example") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(silence);
        assert!(looked_up_within(&lookups, "healthy.example", Duration::from_secs(5)).await);
        assert_eq!(count.load(Ordering::SeqCst), 2, "late.example was never looked up");
    }

    #[tokio::test]
    async fn a_panic_fails_the_lookup() {
        let lookups = Lookups::new(1, |_| panic!("a bug in the resolver"));
        for _ in 0..2 {
            assert!(lookups.addresses("receiver.example").await.is_err());
        }
    }
}
