//! How a service opens its SQLite file. The statements are the services' own.

use anyhow::Context;
use rusqlite::Connection;
use std::{path::Path, time::Duration};

/// Opens `file` in the folder `data`, or a database in memory, and makes its tables.
///
/// Once a commit returns it survives the death of the process; only the loss of the machine's power can undo the last
/// ones, and never leaves half of one.
pub(super) fn open(data: Option<&Path>, file: &str, schema: &str) -> anyhow::Result<Connection> {
    let connect = || -> rusqlite::Result<Connection> {
        let connection = match data {
            Some(folder) => Connection::open(folder.join(file))?,
            None => Connection::open_in_memory()?,
        };
        // Nothing else writes here, but someone may look into the file with a tool.
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(schema)?;
        Ok(connection)
    };
    connect().with_context(|| format!("cannot open {file}"))
}
