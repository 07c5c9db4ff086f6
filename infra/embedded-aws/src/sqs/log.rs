//! The queues in the file: every queue's settings, and every message with its contents. They are written before a request is
//! answered. Only the contents are read from here: the order of the messages is in the [index](super::index).

use super::{QueueAttributes, shapes::Outgoing};
use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// The tables of queues and messages. DynamoDB's tables cannot have the same names, because theirs never contain a colon.
///
/// `visible_ms` is the end of the delay, or of the wait that `ChangeMessageVisibility` set. The visibility timeout of a
/// received message is not stored: it ends with the process that received the message.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS \"sqs:queue\" (
    name TEXT PRIMARY KEY,
    visibility_timeout_ms INTEGER NOT NULL,
    max_receive_count INTEGER NOT NULL,
    dead_letter_queue TEXT
);
CREATE TABLE IF NOT EXISTS \"sqs:message\" (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    group_id TEXT,
    body TEXT NOT NULL,
    attributes TEXT,
    sent_ms INTEGER NOT NULL,
    visible_ms INTEGER NOT NULL,
    receive_count INTEGER NOT NULL DEFAULT 0,
    first_received_ms INTEGER
);";

/// The queues' tables, used within the connection's current transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log<'a>(pub(super) &'a Connection);

/// A stored message, without its contents: what the index needs.
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) queue: String,
    pub(super) group: Option<String>,
    pub(super) visible_ms: i64,
    pub(super) receive_count: u32,
}

/// A received message.
pub(super) struct Received {
    pub(super) id: i64,
    pub(super) body: String,
    pub(super) group: Option<String>,
    /// The message attributes, as the JSON in which they were sent.
    pub(super) attributes: Option<String>,
    pub(super) sent_ms: i64,
    pub(super) first_received_ms: i64,
    pub(super) receive_count: u32,
}

impl Log<'_> {
    /// Reads all queues.
    pub(super) fn queues(self) -> anyhow::Result<Vec<(String, QueueAttributes)>> {
        let sql = "SELECT name, visibility_timeout_ms, max_receive_count, dead_letter_queue FROM \"sqs:queue\"";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let settings = QueueAttributes {
                visibility_timeout: Duration::from_millis(row.get(1)?),
                max_receive_count: row.get(2)?,
                dead_letter_queue: row.get(3)?,
            };
            Ok((row.get(0)?, settings))
        })?;
        rows.collect::<rusqlite::Result<_>>().context("cannot read the queues")
    }

    /// Reads all messages, oldest first.
    pub(super) fn messages(self) -> anyhow::Result<Vec<Stored>> {
        let sql = "SELECT id, queue, group_id, visible_ms, receive_count FROM \"sqs:message\" ORDER BY id";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Stored {
                id: row.get(0)?,
                queue: row.get(1)?,
                group: row.get(2)?,
                visible_ms: row.get(3)?,
                receive_count: row.get(4)?,
            })
        })?;
        rows.collect::<rusqlite::Result<_>>().context("cannot read the messages")
    }

    /// Creates a queue, or changes its settings.
    pub(super) fn put_queue(self, name: &str, settings: &QueueAttributes) -> anyhow::Result<()> {
        let sql = "INSERT OR REPLACE INTO \"sqs:queue\" VALUES (?, ?, ?, ?)";
        let timeout_ms = i64::try_from(settings.visibility_timeout.as_millis())?;
        let row = params![name, timeout_ms, settings.max_receive_count, settings.dead_letter_queue];
        self.0.execute(sql, row).with_context(|| format!("cannot store the queue {name}"))?;
        Ok(())
    }

    /// Stores messages, and returns their ids in the same order.
    pub(super) fn insert(self, queue: &str, messages: &[&Outgoing], now_ms: i64) -> rusqlite::Result<Vec<i64>> {
        let mut ids = Vec::with_capacity(messages.len());
        let sql = "INSERT INTO \"sqs:message\" (queue, group_id, body, attributes, sent_ms, visible_ms)
            VALUES (?, ?, ?, ?, ?, ?)";
        for message in messages {
            let attributes = message.message_attributes.as_ref().map(ToString::to_string);
            let (group, visible_ms) = (&message.message_group_id, message.visible_ms(now_ms));
            let row = params![queue, group, message.message_body, attributes, now_ms, visible_ms];
            self.0.prepare_cached(sql)?.execute(row)?;
            ids.push(self.0.last_insert_rowid());
        }
        Ok(ids)
    }

    /// Counts one receipt of each message, and reads the messages.
    pub(super) fn receive(self, ids: &[i64], now_ms: i64) -> rusqlite::Result<Vec<Received>> {
        let mut messages = Vec::with_capacity(ids.len());
        let sql = "UPDATE \"sqs:message\"
            SET receive_count = receive_count + 1, first_received_ms = coalesce(first_received_ms, ?) WHERE id = ?
            RETURNING id, body, group_id, attributes, sent_ms, first_received_ms, receive_count";
        for id in ids {
            let row = self.0.prepare_cached(sql)?.query_row([now_ms, *id], |row| {
                Ok(Received {
                    id: row.get(0)?,
                    body: row.get(1)?,
                    group: row.get(2)?,
                    attributes: row.get(3)?,
                    sent_ms: row.get(4)?,
                    first_received_ms: row.get(5)?,
                    receive_count: row.get(6)?,
                })
            });
            messages.extend(row.optional()?);
        }
        Ok(messages)
    }

    /// Hides a message until `visible_ms`.
    pub(super) fn hide(self, id: i64, visible_ms: i64) -> rusqlite::Result<()> {
        let mut statement = self.0.prepare_cached("UPDATE \"sqs:message\" SET visible_ms = ? WHERE id = ?")?;
        statement.execute([visible_ms, id]).map(|_| ())
    }

    /// Moves messages to another queue.
    pub(super) fn move_to(self, queue: &str, ids: &[i64]) -> rusqlite::Result<()> {
        for id in ids {
            self.0.prepare_cached("UPDATE \"sqs:message\" SET queue = ? WHERE id = ?")?.execute(params![queue, id])?;
        }
        Ok(())
    }

    /// Deletes messages.
    pub(super) fn delete(self, ids: &[i64]) -> rusqlite::Result<()> {
        for id in ids {
            self.0.prepare_cached("DELETE FROM \"sqs:message\" WHERE id = ?")?.execute([id])?;
        }
        Ok(())
    }

    /// Deletes all messages of a queue.
    pub(super) fn purge(self, queue: &str) -> rusqlite::Result<()> {
        self.0.execute("DELETE FROM \"sqs:message\" WHERE queue = ?", [queue]).map(|_| ())
    }
}
