//! The one SQLite file behind all services, and the transactions in which their work is done.
//!
//! Whatever waits when a transaction begins is done in it, each piece of work in a savepoint of its own, and all are
//! answered after its commit: pages that many pieces of work touch are written once. There is no thread: whoever waits
//! does the work of all who wait, so under one thread and simulated time a run repeats exactly.
//!
//! A commit survives the death of the process. That it also survives the loss of power is what [`Engine::flush`] waits
//! for. The file's log is one sequence, so a power cut leaves what was committed up to some moment, and never a part of
//! it: a message that is there has its event, a record that is gone has its message.

use super::{dynamodb, scheduler, sqs, wire::Fault};
use anyhow::Context;
use dynoxide::storage::Storage;
use hookline::time::Clock;
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::oneshot;

/// The file in the data folder.
pub(super) const FILE: &str = "aws.sqlite3";
/// Pages of the log after which they are moved into the file: more than SQLite's 1,000, since pages that are written
/// again and again are then moved once.
const LOG_PAGES: i64 = 4_000;
/// Memory for pages, in KiB.
const CACHE_KIB: i64 = 8 * 1024;
/// Statements that stay prepared.
const STATEMENTS_KEPT: usize = 64;

/// What the services work on.
pub(super) struct State {
    /// DynamoDB's tables; its connection holds the other services' as well.
    pub(super) storage: Storage,
    /// Where every message stands.
    pub(super) queues: sqs::Queues,
    /// When every schedule is due.
    pub(super) schedules: scheduler::Schedules,
    transactions: Transactions,
}

/// Work whose answer waits for the commit.
type Work = Box<dyn FnOnce(&mut State) -> Answer + Send>;
/// Tells whoever waits what became of the work.
type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;

/// The file, and the work that waits for it.
pub(super) struct Engine {
    state: Mutex<State>,
    waiting: Mutex<Vec<Work>>,
    /// Transactions committed so far.
    commits: AtomicU64,
    log: Option<Log>,
}

/// SQLite's write-ahead log, to which commits are appended.
struct Log {
    file: Arc<File>,
    /// Transactions that were committed when it was last put on the disk.
    flushed: tokio::sync::Mutex<u64>,
}

impl Engine {
    /// Opens the file in the folder `data`, or a database in memory, and makes its tables.
    pub(super) fn open(data: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        let path = data.map(|folder| folder.join(FILE));
        let storage = match &path {
            None => Storage::memory(),
            Some(path) => Storage::new(path.to_str().context("the data folder's path must be UTF-8")?),
        };
        let storage = storage.with_context(|| format!("cannot open {FILE}"))?;
        let storage = storage.with_clock(Arc::new(dynamodb::EngineClock(clock.clone())));
        let state = State::open(storage, &clock).with_context(|| format!("cannot prepare {FILE}"))?;
        let log = path.map(|path| Log::open(&path.with_extension("sqlite3-wal"))).transpose()?;
        Ok(Self { state: Mutex::new(state), waiting: Mutex::default(), commits: AtomicU64::new(0), log })
    }

    /// Does `work`, together with what else waits, and answers after the commit.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut State) -> Result<T, Fault> + Send + 'static,
    {
        let (sender, mut answered) = oneshot::channel();
        let work: Work = Box::new(move |state| {
            let result = state.in_savepoint(work);
            Box::new(move |committed| {
                // Whoever asked may be gone; what was asked is done nonetheless.
                let _ = sender.send(committed.and(result));
            })
        });
        self.waiting().push(work);
        // A call over a network gives way to other tasks. Here they bring their own work for the same transaction.
        tokio::task::yield_now().await;
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        self.do_waiting();
        answered.await.unwrap_or_else(|_| Err(Fault::internal("the work was given up")))
    }

    /// Does `work` at once, in a transaction of its own.
    pub(super) fn now<T>(&self, work: impl FnOnce(&mut State) -> Result<T, Fault>) -> Result<T, Fault> {
        let result = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = state.begin().and_then(|()| state.in_savepoint(work));
            self.commit(&mut state).and(result)
        };
        self.do_waiting();
        result
    }

    /// Waits until everything that has been answered is on the disk. Many who wait at once wait for one write.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub(super) async fn flush(&self) -> anyhow::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let wanted = self.commits.load(Ordering::Acquire);
        let mut flushed = log.flushed.lock().await;
        if *flushed < wanted {
            let commits = self.commits.load(Ordering::Acquire);
            let file = Arc::clone(&log.file);
            // Pages that have left the log are on the disk already: SQLite sees to that before it uses their place again.
            tokio::task::spawn_blocking(move || file.sync_data()).await?.context("cannot write to the disk")?;
            *flushed = commits;
        }
        Ok(())
    }

    /// Does what waits, until nothing does. Whoever finds another at it leaves: the other looks again after it has let go.
    fn do_waiting(&self) {
        loop {
            if self.waiting().is_empty() {
                return;
            }
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let waiting = std::mem::take(&mut *self.waiting());
            let begun = state.begin();
            if begun.is_err() {
                drop(waiting);
                continue;
            }
            let answers: Vec<Answer> = waiting.into_iter().map(|work| work(&mut state)).collect();
            let committed = self.commit(&mut state);
            drop(state);
            for answer in answers {
                answer(committed.clone());
            }
        }
    }

    fn commit(&self, state: &mut State) -> Result<(), Fault> {
        let committed = state.commit();
        self.commits.fetch_add(1, Ordering::Release);
        committed
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Work>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        if let Some(folder) = path.parent() {
            // The names of new files are the folder's contents.
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file: Arc::new(file), flushed: tokio::sync::Mutex::new(0) })
    }
}

impl State {
    fn open(storage: Storage, clock: &Clock) -> anyhow::Result<Self> {
        let connection = storage.conn();
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.execute_batch(sqs::SCHEMA)?;
        connection.execute_batch(scheduler::SCHEMA)?;
        let queues = sqs::Queues::load(connection, clock.clone())?;
        let schedules = scheduler::Schedules::load(connection, clock.clone())?;
        let transactions = Transactions::take_over(connection);
        Ok(Self { storage, queues, schedules, transactions })
    }

    /// The connection, beside which the rest can be borrowed.
    pub(super) fn parts(&mut self) -> (&Connection, &mut sqs::Queues, &mut scheduler::Schedules) {
        (self.storage.conn(), &mut self.queues, &mut self.schedules)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        if !self.storage.conn().is_autocommit() {
            // Work that panicked left its transaction open, and nobody was told that it is done.
            self.abandon();
        }
        Ok(self.transactions.execute(self.storage.conn(), "BEGIN IMMEDIATE")?)
    }

    fn commit(&mut self) -> Result<(), Fault> {
        let committed = self.transactions.execute(self.storage.conn(), "COMMIT");
        if committed.is_err() {
            self.abandon();
        }
        Ok(committed?)
    }

    /// Undoes the transaction, in memory as well.
    fn abandon(&mut self) {
        let connection = self.storage.conn();
        // SQLite may have undone it already.
        let open = !connection.is_autocommit();
        let undone = if open { self.transactions.execute(connection, "ROLLBACK") } else { Ok(()) };
        let reloaded = undone
            .map_err(anyhow::Error::from)
            .and_then(|()| self.queues.reload(connection))
            .and_then(|()| self.schedules.reload(connection));
        if let Err(error) = reloaded {
            tracing::error!(%error, "a transaction that failed could not be undone");
        }
    }

    /// Does work of which nothing stays in the file where it fails.
    fn in_savepoint<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let step = |state: &Self, sql| -> Result<(), Fault> {
            Ok(state.storage.conn().prepare_cached(sql)?.execute([]).map(|_| ())?)
        };
        step(self, "SAVEPOINT work")?;
        let result = work(self);
        if result.is_err() {
            step(self, "ROLLBACK TO work")?;
        }
        step(self, "RELEASE work")?;
        result
    }
}

/// Who may begin and end transactions. The DynamoDB engine begins and commits one for each write, and has no way to be
/// told otherwise; within a transaction of ours, SQLite ignores that.
struct Transactions(Arc<AtomicBool>);

impl Transactions {
    /// From here on, only [`execute`](Self::execute) begins and ends transactions on this connection.
    fn take_over(connection: &Connection) -> Self {
        let ours = Arc::new(AtomicBool::new(false));
        let allowed = Arc::clone(&ours);
        connection.authorizer(Some(move |context: AuthContext<'_>| match context.action {
            AuthAction::Transaction { .. } if !allowed.load(Ordering::Relaxed) => Authorization::Ignore,
            _ => Authorization::Allow,
        }));
        Self(ours)
    }

    fn execute(&self, connection: &Connection, sql: &str) -> rusqlite::Result<()> {
        self.0.store(true, Ordering::Relaxed);
        let executed = connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        self.0.store(false, Ordering::Relaxed);
        executed.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        Engine::open(None, Clock::system()).expect("memory opens")
    }

    fn execute(state: &State, sql: &str) -> Result<(), Fault> {
        Ok(state.storage.conn().execute_batch(sql)?)
    }

    fn count(engine: &Engine) -> i64 {
        let count = |state: &mut State| {
            let rows = state.storage.conn().query_row("SELECT count(*) FROM child", [], |row| row.get(0));
            Ok(rows?)
        };
        engine.now(count).expect("counted")
    }

    /// A table whose rows must have a parent by the time of the commit, and not before.
    const TABLES: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);";

    #[tokio::test(start_paused = true)]
    async fn what_waits_together_is_one_transaction_and_fails_alone() {
        let engine = engine();
        engine.now(|state| execute(state, TABLES)).expect("made");
        let before = engine.commits.load(Ordering::Relaxed);
        let good = || engine.run(|state| execute(state, "INSERT INTO child VALUES (NULL)"));
        let bad = engine.run(|state| {
            execute(state, "INSERT INTO child VALUES (NULL)")?;
            // As the DynamoDB engine ends a transaction that it takes for its own.
            execute(state, "ROLLBACK")?;
            Err::<(), _>(Fault::internal("changed my mind"))
        });
        let (first, failed, second) = tokio::join!(good(), bad, good());
        assert!(first.is_ok() && failed.is_err() && second.is_ok());
        assert_eq!(engine.commits.load(Ordering::Relaxed) - before, 1);
        assert_eq!(count(&engine), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_done_where_the_commit_fails() {
        let engine = engine();
        engine.now(|state| execute(state, TABLES)).expect("made");
        let letter = |state: &mut State| {
            let (connection, queues, _) = state.parts();
            let url = sqs::queue_url("letters");
            let body = format!(r#"{{"QueueUrl":"{url}","MessageBody":"hello"}}"#);
            queues.call(connection, "SendMessage", body.as_bytes())
        };
        let make = |state: &mut State| {
            let (connection, queues, _) = state.parts();
            queues.create(connection, "letters", sqs::QueueSettings::default()).map_err(|_| Fault::internal("?"))
        };
        engine.now(make).expect("made");
        let orphan = engine.run(|state| execute(state, "INSERT INTO child VALUES (7)"));
        let (orphaned, sent) = tokio::join!(orphan, engine.run(letter));
        assert!(orphaned.is_err() && sent.is_err(), "both were in the transaction that failed");
        let receive = format!(r#"{{"QueueUrl":"{}"}}"#, sqs::queue_url("letters"));
        let received = sqs::receive(&engine, receive.as_bytes()).await.expect("received");
        assert_eq!(received, r#"{"Messages":[]}"#);
        engine.run(letter).await.expect("the next transaction is none the worse");
        let received = sqs::receive(&engine, receive.as_bytes()).await.expect("received");
        assert!(received.contains("hello"), "{received}");
        assert_eq!(count(&engine), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_takes_its_transaction_with_it() {
        let engine = Arc::new(engine());
        engine.now(|state| execute(state, TABLES)).expect("made");
        let shared = Arc::clone(&engine);
        let panicking = tokio::spawn(async move {
            let work = |state: &mut State| -> Result<(), Fault> {
                execute(state, "INSERT INTO child VALUES (NULL)")?;
                panic!("as a bug would")
            };
            shared.run(work).await
        });
        assert!(panicking.await.is_err());
        engine.run(|state| execute(state, "INSERT INTO child VALUES (NULL)")).await.expect("the next one works");
        assert_eq!(count(&engine), 1);
    }
}
