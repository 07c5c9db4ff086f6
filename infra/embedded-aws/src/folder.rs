//! The data folder. Only its owner can read it, only one process at a time can open it, and its files are checked before
//! anything is written to them.
//!
//! If a file is damaged or missing, opening fails with an error that names the file, and changes nothing. To continue without
//! the file would silently lose acknowledged events (ADR 11).

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{DirBuilder, File, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The content of the lock file once every file of the folder has been created.
const COMPLETE: &str = "hookline data 1\n";

/// A locked folder.
pub(super) struct Folder {
    path: PathBuf,
    /// The lock file. The lock ends when this handle is closed, even if the process is killed.
    lock: File,
    is_complete: bool,
}

impl Folder {
    /// Creates the folder if it is missing, and locks it. Two processes on one folder would each deliver every message.
    ///
    /// # Errors
    /// Another process has it open, or it cannot be written to.
    pub(super) fn lock(path: &Path) -> anyhow::Result<Self> {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
        created.with_context(|| format!("cannot create the data folder {}", path.display()))?;
        let (path, lock) = (path.to_owned(), path.join("lock"));
        let mut file = open_for_writing(&lock)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "the data folder {} is in use by another process: stop that one, or use another folder",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the data folder {}", path.display()));
            }
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(|| format!("cannot read {}", lock.display()))?;
        // A first start that was interrupted leaves an empty file or the beginning of the text.
        let is_complete = text == COMPLETE.as_bytes();
        if !is_complete && !COMPLETE.as_bytes().starts_with(&text) {
            let path = lock.display();
            anyhow::bail!("{path} is damaged, or another version wrote it: if the other files are sound, delete it");
        }
        Ok(Self { path, lock: file, is_complete })
    }

    /// Checks that the SQLite file `name` is sound and writable. On a first start, creates it.
    ///
    /// # Errors
    /// The file is damaged, cannot be written to, or is missing although the folder was in use. It has not been changed.
    pub(super) fn check(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        if length == 0 && self.is_complete {
            let path = path.display();
            anyhow::bail!(
                "{path} is missing or empty, but the folder was in use: restore the file, or use another folder"
            );
        }
        open_for_writing(&path)?;
        if length > 0 {
            is_sound(&path).with_context(|| format!("{} is damaged; it was not changed", path.display()))?;
        }
        Ok(())
    }

    /// Records that every file has been created.
    pub(super) fn complete(&mut self) -> anyhow::Result<()> {
        if !self.is_complete {
            let written = self.lock.set_len(0).and_then(|()| self.lock.write_all(COMPLETE.as_bytes()));
            written.with_context(|| format!("cannot write to the data folder {}", self.path.display()))?;
            self.is_complete = true;
        }
        Ok(())
    }
}

/// Opens a file for reading and writing. If it is missing, creates it so that only its owner can read it, because every file
/// holds secrets.
fn open_for_writing(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

/// Reads all of an SQLite file and checks it. Writes nothing.
fn is_sound(path: &Path) -> anyhow::Result<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // The first line of what SQLite found only names the database that was checked.
    anyhow::ensure!(found == "ok", "{}", found.lines().last().unwrap_or_default());
    Ok(())
}
