//! The events that are not delivered yet, in SQLite. One thread writes. It commits all writes that
//! wait in one transaction, so that they share an fsync.

use bytes::Bytes;
use rusqlite::Connection;
use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// How long deletions wait for an insertion to share its commit.
const DELETIONS_WAIT: Duration = Duration::from_millis(100);

/// A write that waits for its commit.
enum Write {
    /// Inserts an event, and tells its id once it is on disk.
    Insert(Bytes, oneshot::Sender<i64>),
    Delete(i64),
}

/// The rows of the database. Dropping them ends the thread.
pub(crate) struct Rows(Sender<Write>);

impl Rows {
    /// Opens the database, and returns the rows that it holds.
    pub(crate) fn open(file: &str) -> anyhow::Result<(Self, Vec<(i64, Bytes)>)> {
        let database = Connection::open(file)?;
        // `FULL` syncs the log at each commit.
        database.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);",
        )?;
        let mut select = database.prepare("SELECT id, payload FROM events ORDER BY id")?;
        let left = select.query_map((), |row| Ok((row.get(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?))))?;
        let left = left.collect::<Result<_, _>>()?;
        drop(select);
        let (sender, writes) = channel();
        thread::spawn(move || {
            if let Err(error) = write(&database, &writes) {
                eprintln!("floor: {error}");
            }
        });
        Ok((Self(sender), left))
    }

    /// Inserts an event, and returns its id once it is on disk, or `None` if it could not be written.
    pub(crate) async fn insert(&self, payload: Bytes) -> Option<i64> {
        let (sender, id) = oneshot::channel();
        self.0.send(Write::Insert(payload, sender)).ok()?;
        id.await.ok()
    }

    /// Deletes an event some time later.
    pub(crate) fn delete(&self, id: i64) {
        let _ = self.0.send(Write::Delete(id));
    }
}

fn write(database: &Connection, writes: &Receiver<Write>) -> rusqlite::Result<()> {
    let mut waiting = Vec::new();
    loop {
        let waited = match writes.recv_timeout(DELETIONS_WAIT) {
            Ok(write) => {
                waiting.push(write);
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        waiting.extend(writes.try_iter());
        if waited || waiting.iter().any(|write| matches!(write, Write::Insert(..))) {
            commit(database, &mut waiting)?;
        }
    }
}

/// Commits the writes in one transaction, and then tells the ids of the inserted events.
fn commit(database: &Connection, waiting: &mut Vec<Write>) -> rusqlite::Result<()> {
    if waiting.is_empty() {
        return Ok(());
    }
    let mut inserted = Vec::new();
    let transaction = database.unchecked_transaction()?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO events (payload) VALUES (?1)")?;
        let mut delete = transaction.prepare_cached("DELETE FROM events WHERE id = ?1")?;
        for write in waiting.drain(..) {
            match write {
                Write::Insert(payload, answer) => inserted.push((insert.insert([&payload[..]])?, answer)),
                Write::Delete(id) => _ = delete.execute([id])?,
            }
        }
    }
    transaction.commit()?;
    for (id, answer) in inserted {
        let _ = answer.send(id);
    }
    Ok(())
}
