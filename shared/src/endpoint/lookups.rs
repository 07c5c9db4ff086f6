//! Name look-ups, on threads of their own.
//!
//! The system's resolver blocks its thread, for up to half a minute where the name servers are silent. On tokio's threads for
//! blocking work a few silent names would hold all of them, since each waiting request holds one, and whatever else needs
//! such a thread (the local process's `fsync`) would wait for name servers. Here
//! - one look-up of a name is under way at a time, however many requests wait for it;
//! - there is a bound on look-ups at once, of which names that were slow the last time have only a share;
//! - a look-up that everybody has stopped waiting for before it had a thread is not begun.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// When a name is slow: name servers answer within tens of milliseconds, and a resolver asks again after 5 s.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Slow names that are remembered, a few hundred KiB of them. Of more than that the later ones are not known to be slow.
const SLOW_NAMES_MAX: usize = 4_096;
/// Stack of a look-up's thread. The C library's resolver takes some 100 KiB of it; what is not used costs no memory.
const STACK_BYTES: usize = 512 * 1024;

/// What a look-up came to, for all who wait for it.
type Answer = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// Looks names up, with bounds. Clones share them.
#[derive(Clone)]
pub(super) struct Lookups(Arc<Shared>);

struct Shared {
    look_up: Box<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>,
    threads: Arc<Semaphore>,
    /// The share of the threads that slow names have.
    slow_threads: Arc<Semaphore>,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    under_way: HashMap<String, watch::Sender<Option<Answer>>>,
    slow: HashSet<String>,
}

/// The right to a thread.
struct Turn {
    _slow: Option<OwnedSemaphorePermit>,
    _thread: OwnedSemaphorePermit,
}

impl Lookups {
    /// Looks names up by `look_up`, which may block, on at most `threads_max` threads.
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

    /// The addresses of `name`. Dropping the future leaves the look-up to others who wait for it.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut answer = self.join(name);
        let answered =
            answer.wait_for(Option::is_some).await.map_err(|_| io::Error::other("the look-up was given up"))?;
        match answered.as_ref() {
            Some(Ok(addresses)) => Ok(addresses.to_vec()),
            Some(Err(error)) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            None => Err(io::Error::other("the look-up was given up")),
        }
    }

    /// Waits with others for the look-up of `name` that is under way, or begins one.
    fn join(&self, name: &str) -> watch::Receiver<Option<Answer>> {
        let mut names = self.names();
        if let Some(under_way) = names.under_way.get(name) {
            return under_way.subscribe();
        }
        let (answer, waiting) = watch::channel(None);
        names.under_way.insert(name.to_owned(), answer.clone());
        drop(names);
        let under_way = UnderWay { lookups: self.clone(), name: name.to_owned(), answer };
        tokio::spawn(under_way.run());
        waiting
    }

    /// Waits for a thread.
    async fn turn(&self, name: &str) -> Option<Turn> {
        let is_slow = self.names().slow.contains(name);
        let slow = if is_slow { Some(Arc::clone(&self.0.slow_threads).acquire_owned().await.ok()?) } else { None };
        Some(Turn { _slow: slow, _thread: Arc::clone(&self.0.threads).acquire_owned().await.ok()? })
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers how long `name` took the last time.
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

/// The look-up of one name, from the first who waits for it to its answer.
struct UnderWay {
    lookups: Lookups,
    name: String,
    answer: watch::Sender<Option<Answer>>,
}

impl UnderWay {
    async fn run(self) {
        let turn = tokio::select! {
            turn = self.lookups.turn(&self.name) => turn,
            () = self.deserted() => None,
        };
        let Some(turn) = turn else { return };
        let mut found = self.begin(turn);
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
        let answer = answer.unwrap_or_else(|_| Err(io::Error::other("the look-up panicked")));
        self.answer.send_replace(Some(answer.map(Arc::from).map_err(Arc::new)));
    }

    /// Looks the name up on a thread, which has the turn until it ends, whoever still waits for it.
    fn begin(&self, turn: Turn) -> oneshot::Receiver<io::Result<Vec<SocketAddr>>> {
        let (sender, found) = oneshot::channel();
        let (shared, name) = (Arc::clone(&self.lookups.0), self.name.clone());
        let thread = thread::Builder::new().name("look-up".to_owned()).stack_size(STACK_BYTES);
        let begun = thread.spawn(move || {
            let addresses = (shared.look_up)(&name);
            drop(turn);
            // Nobody may wait any more.
            let _ = sender.send(addresses);
        });
        if let Err(error) = begun {
            tracing::warn!(%error, "no thread for a look-up");
        }
        found
    }

    /// Waits until nobody waits for the answer; whoever asks from then on begins another look-up.
    async fn deserted(&self) {
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

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut names = self.lookups.names();
        // Deserted, it may have a successor.
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

    /// Name servers that do not answer, until this is dropped.
    struct Silence(Arc<(Mutex<bool>, Condvar)>);

    impl Drop for Silence {
        fn drop(&mut self) {
            *self.0.0.lock().expect("a lock") = true;
            self.0.1.notify_all();
        }
    }

    /// Look-ups that hang for names which begin with `silent`; and how many were begun.
    fn scripted(threads_max: usize) -> (Lookups, Silence, Arc<AtomicUsize>) {
        let (silence, count) = (Silence(Arc::default()), Arc::new(AtomicUsize::new(0)));
        let (silent, counter) = (Arc::clone(&silence.0), Arc::clone(&count));
        let lookups = Lookups::new(threads_max, move |name| {
            counter.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("silent") {
                let over = silent.0.lock().expect("a lock");
                drop(silent.1.wait_while(over, |over| !*over).expect("a lock"));
            }
            Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
        });
        (lookups, silence, count)
    }

    async fn looked_up_within(lookups: &Lookups, name: &str, time: Duration) -> bool {
        tokio::time::timeout(time, lookups.addresses(name)).await.is_ok_and(|found| found.is_ok())
    }

    #[tokio::test]
    async fn silent_names_have_one_thread_each_and_others_are_quick() {
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
        assert_eq!(count.load(Ordering::SeqCst), 102, "one look-up for each name");
        drop(silence);
        while !lookups.names().under_way.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(looked_up_within(&lookups, "silent-1.example", QUICK).await);
    }

    #[tokio::test]
    async fn names_that_were_slow_leave_threads_to_others() {
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
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let (lookups, silence, count) = scripted(1);
        assert!(!looked_up_within(&lookups, "silent.example", QUICK).await);
        assert!(!looked_up_within(&lookups, "late.example", QUICK).await);
        while lookups.names().under_way.contains_key("late.example") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(silence);
        assert!(looked_up_within(&lookups, "healthy.example", Duration::from_secs(5)).await);
        assert_eq!(count.load(Ordering::SeqCst), 2, "the late one was never looked up");
    }

    #[tokio::test]
    async fn a_panic_is_a_failed_look_up() {
        let lookups = Lookups::new(1, |_| panic!("as a bug would"));
        for _ in 0..2 {
            assert!(lookups.addresses("receiver.example").await.is_err());
        }
    }
}
