//! The one SQLite file that all services share, and its transactions.
//!
//! A transaction runs all work that is waiting when it begins, each piece in its own savepoint. Every caller is answered after
//! the commit. A page that several pieces of work change is written once. There is no thread for this: one of the callers runs
//! the work of all. So with one thread and simulated time, a test runs the same way every time (ADR 7).
//!
//! A commit survives the end of the process. [`Engine::flush`] waits until it also survives a power cut. SQLite's log is one
//! sequence, so a power cut can only remove the end of it. If a message is still there, so is its event. If the record of an
//! attempt is gone, its message is still there.

use super::{
    dynamodb::{self, FastPath},
    scheduler, sqs,
    wire::Fault,
};
use anyhow::Context;
use domain::time::Clock;
use dynoxide::storage::Storage;
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
/// The number of pages in the log at which SQLite copies them into the file. It is higher than SQLite's default of 1,000, so
/// that a page that is written often is copied once.
const LOG_PAGES: i64 = 4_000;
/// The size of SQLite's page cache, in KiB.
const CACHE_KIB: i64 = 8 * 1024;
/// The part of the file's pages, as a divisor, that may stay unused.
const UNUSED_KEPT: i64 = 4;
/// The most pages that are given back to the file system at a time. Requests wait for that long.
const FREED_AT_ONCE: u32 = 100;
/// The number of prepared statements that are kept.
const STATEMENTS_KEPT: usize = 64;

/// The state of all services.
pub(super) struct State {
    /// DynamoDB's tables. The other services use its connection too.
    pub(super) storage: Storage,
    fast_path: FastPath,
    /// The queues, with the state of every message.
    pub(super) queues: sqs::Queues,
    /// The schedules, with the time at which each is due.
    pub(super) schedules: scheduler::Schedules,
    transactions: Transactions,
    /// Whether SQLite has said that the file is damaged.
    is_damaged: bool,
}

/// A piece of work. It returns the answer, which is sent after the commit.
type Work = Box<dyn FnOnce(&mut State) -> Answer + Send>;
/// Sends the result of a piece of work to its caller. Takes the result of the commit.
type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;

/// The file, and the work that waits for a transaction.
pub(super) struct Engine {
    state: Mutex<State>,
    waiting: Mutex<Vec<Work>>,
    /// How many transactions have ended so far.
    commits: AtomicU64,
    log: Option<Log>,
}

/// SQLite's write-ahead log, to which commits are appended.
struct Log {
    file: Arc<File>,
    /// The value of `commits` at the last flush.
    flushed: tokio::sync::Mutex<u64>,
}

impl Engine {
    /// Opens the file in the folder `data`, or a database in memory, and creates the services' tables.
    pub(super) fn open(data: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        let path = data.map(|folder| folder.join(FILE));
        if let Some(path) = path.as_deref().filter(|path| path.metadata().is_ok_and(|file| file.len() == 0)) {
            prepare(path).with_context(|| format!("cannot create {FILE}"))?;
        }
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

    /// Runs `work` in one transaction with all other waiting work, and returns its result after the commit. If it fails, its changes
    /// to the file are undone.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut State) -> Result<T, Fault> + Send + 'static,
    {
        self.run_unguarded(move |state| state.in_savepoint(work)).await
    }

    /// Runs `work` as [`run`](Self::run) does, but undoes nothing if it fails. It must then have changed nothing.
    pub(super) async fn run_unguarded<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut State) -> Result<T, Fault> + Send + 'static,
    {
        let (sender, mut answered) = oneshot::channel();
        let work: Work = Box::new(move |state| {
            let result = work(state);
            Box::new(move |committed| {
                // The caller may have been dropped. Its work is done all the same.
                let _ = sender.send(committed.and(result));
            })
        });
        self.waiting().push(work);
        // A call over a network would let other tasks run. Here they add their work to the same transaction.
        tokio::task::yield_now().await;
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        self.run_waiting();
        answered.await.unwrap_or_else(|_| Err(Fault::internal("the work was abandoned")))
    }

    /// Runs `work` at once, in its own transaction.
    pub(super) fn now<T>(&self, work: impl FnOnce(&mut State) -> Result<T, Fault>) -> Result<T, Fault> {
        let result = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = state.begin().and_then(|()| state.in_savepoint(work));
            self.commit(&mut state).and(result)
        };
        self.run_waiting();
        result
    }

    /// Waits until everything that has been answered is on the disk. Concurrent calls share one write.
    ///
    /// # Errors
    /// The disk cannot be written to.
    pub(super) async fn flush(&self) -> anyhow::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let wanted = self.commits.load(Ordering::Acquire);
        let mut flushed = log.flushed.lock().await;
        if *flushed < wanted {
            let commits = self.commits.load(Ordering::Acquire);
            let file = Arc::clone(&log.file);
            // Pages that SQLite has copied out of the log are on the disk already: it syncs them before it reuses the log.
            tokio::task::spawn_blocking(move || file.sync_data()).await?.context("cannot write to the disk")?;
            *flushed = commits;
        }
        Ok(())
    }

    /// Whether SQLite has said that the file is damaged.
    pub(super) fn is_damaged(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_damaged
    }

    /// Runs the waiting work until none is left. Returns if another caller is running it: that caller looks for more work after
    /// it has released the lock.
    fn run_waiting(&self) {
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

/// Makes a new file one that can become smaller. SQLite takes this setting only before the first table.
fn prepare(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // The setting is kept once something is written.
    connection.pragma_update(None, "user_version", 1)
}

impl Log {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        if let Some(folder) = path.parent() {
            // A new file survives a power cut only if its folder is synced too.
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
        Ok(Self { storage, fast_path: FastPath::default(), queues, schedules, transactions, is_damaged: false })
    }

    /// Returns the connection, the queues and the schedules, which can be borrowed together.
    pub(super) fn parts(&mut self) -> (&Connection, &mut sqs::Queues, &mut scheduler::Schedules) {
        (self.storage.conn(), &mut self.queues, &mut self.schedules)
    }

    /// Returns `DynamoDB`'s tables, and what its fast path remembers.
    pub(super) fn dynamodb(&mut self) -> (&Storage, &mut FastPath) {
        (&self.storage, &mut self.fast_path)
    }

    /// Gives some unused pages of the file back to the file system, if it has many. Returns whether it may have more to give. A file of an
    /// earlier version keeps them, and uses them again.
    pub(super) fn free_pages(&self) -> rusqlite::Result<bool> {
        let connection = self.storage.conn();
        let count = |what| connection.pragma_query_value(None, what, |row| row.get::<_, i64>(0));
        let before = count("freelist_count")?;
        // What expires each hour is needed again in the next.
        if before <= count("page_count")? / UNUSED_KEPT {
            return Ok(false);
        }
        let mut freeing = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({FREED_AT_ONCE})"))?;
        let mut rows = freeing.query([])?;
        while rows.next()?.is_some() {}
        Ok(count("freelist_count")? < before)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        if !self.storage.conn().is_autocommit() {
            // Work panicked and left its transaction open. None of that transaction's work has been answered.
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

    /// Rolls the transaction back, and reloads the state in memory from the file.
    fn abandon(&mut self) {
        self.fast_path.forget_tables();
        let connection = self.storage.conn();
        // SQLite may have rolled it back already.
        let open = !connection.is_autocommit();
        let undone = if open { self.transactions.execute(connection, "ROLLBACK") } else { Ok(()) };
        let reloaded = undone
            .map_err(anyhow::Error::from)
            .and_then(|()| self.queues.reload(connection))
            .and_then(|()| self.schedules.reload(connection));
        if let Err(error) = reloaded {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
    }

    /// Runs `work` in a savepoint. If it fails, its changes to the file are undone.
    pub(super) fn in_savepoint<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let result = self.try_in_savepoint(work);
        self.is_damaged |= matches!(&result, Err(fault) if fault.is_damage());
        result
    }

    fn try_in_savepoint<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
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

/// Controls who may begin and end transactions. The DynamoDB engine begins and commits one for each write, and has no setting
/// against it. Inside the shared transaction, SQLite ignores these statements of the engine.
struct Transactions(Arc<AtomicBool>);

impl Transactions {
    /// Allows only [`execute`](Self::execute) to begin and end transactions on this connection from now on.
    fn take_over(connection: &Connection) -> Self {
        let ours = Arc::new(AtomicBool::new(false));
        let allowed = Arc::clone(&ours);
        connection.authorizer(Some(move |context: AuthContext<'_>| match context.action {
            AuthAction::Transaction { .. } if !allowed.load(Ordering::Relaxed) => Authorization::Ignore,
            _ => Authorization::Allow,
        }));
        Self(ours)
    }

    /// Begins or ends a transaction.
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

    /// A table whose rows must have a parent when the transaction commits.
    const TABLES: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);";

    #[tokio::test(start_paused = true)]
    async fn concurrent_work_shares_a_transaction_and_fails_separately() {
        let engine = engine();
        engine.now(|state| execute(state, TABLES)).expect("created");
        let before = engine.commits.load(Ordering::Relaxed);
        let good = || engine.run(|state| execute(state, "INSERT INTO child VALUES (NULL)"));
        let bad = engine.run(|state| {
            execute(state, "INSERT INTO child VALUES (NULL)")?;
            // The DynamoDB engine ends its own transactions in this way.
            execute(state, "ROLLBACK")?;
            Err::<(), _>(Fault::internal("refused"))
        });
        let (first, failed, second) = tokio::join!(good(), bad, good());
        assert!(first.is_ok() && failed.is_err() && second.is_ok());
        assert_eq!(engine.commits.load(Ordering::Relaxed) - before, 1);
        assert_eq!(count(&engine), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_commit_undoes_all_work_of_its_transaction() {
        let engine = engine();
        engine.now(|state| execute(state, TABLES)).expect("created");
        let send = |state: &mut State| {
            let (connection, queues, _) = state.parts();
            let url = sqs::queue_url("letters");
            let body = format!(r#"{{"QueueUrl":"{url}","MessageBody":"hello"}}"#);
            queues.call(connection, "SendMessage", body.as_bytes())
        };
        let create = |state: &mut State| {
            let (connection, queues, _) = state.parts();
            queues.create(connection, "letters", sqs::QueueAttributes::default()).map_err(|_| Fault::internal("?"))
        };
        engine.now(create).expect("created");
        let orphan = engine.run(|state| execute(state, "INSERT INTO child VALUES (7)"));
        let (lost, refused) = tokio::join!(orphan, engine.run(send));
        assert!(lost.is_err() && refused.is_err(), "both were in the failed transaction");
        let receive = format!(r#"{{"QueueUrl":"{}"}}"#, sqs::queue_url("letters"));
        let received = crate::waiting::receive(&engine, receive.as_bytes()).await.expect("received");
        assert_eq!(received, r#"{"Messages":[]}"#);
        engine.run(send).await.expect("the next transaction succeeds");
        let received = crate::waiting::receive(&engine, receive.as_bytes()).await.expect("received");
        assert!(received.contains("hello"), "{received}");
        assert_eq!(count(&engine), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_undoes_its_transaction_and_the_next_one_succeeds() {
        let engine = Arc::new(engine());
        engine.now(|state| execute(state, TABLES)).expect("created");
        let shared = Arc::clone(&engine);
        let panicking = tokio::spawn(async move {
            let work = |state: &mut State| -> Result<(), Fault> {
                execute(state, "INSERT INTO child VALUES (NULL)")?;
                panic!("a bug")
            };
            shared.run(work).await
        });
        assert!(panicking.await.is_err());
        engine.run(|state| execute(state, "INSERT INTO child VALUES (NULL)")).await.expect("it succeeds");
        assert_eq!(count(&engine), 1);
    }
}
