//! The data folder: made for its owner alone, held by one process at a time, and looked over before anything is written
//! to it. A file that is damaged or gone is told of and left as it is: to go on without it would lose, without a word,
//! what was acknowledged.

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{DirBuilder, File, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What the lock says once every file of the folder has been made.
const COMPLETE: &str = "hookline data 1\n";

/// A locked folder.
pub(super) struct Folder {
    path: PathBuf,
    /// The lock ends with this handle, also when the process is killed.
    lock: File,
    is_complete: bool,
}

impl Folder {
    /// Makes the folder if it is missing, and locks it: two processes on one folder would each deliver every message.
    ///
    /// # Errors
    /// Another process has it open, or it cannot be written to.
    pub(super) fn lock(path: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("cannot make the data folder {}", path.display()))?;
        let (path, lock) = (path.to_owned(), path.join("lock"));
        let mut file = open_for_writing(&lock)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("the data folder {} is in use by another process", path.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the data folder {}", path.display()));
            }
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(|| format!("cannot read {}", lock.display()))?;
        // A beginning of the mark, nothing at all included, is what an unfinished first start leaves.
        let is_complete = text == COMPLETE.as_bytes();
        if !is_complete && !COMPLETE.as_bytes().starts_with(&text) {
            let path = lock.display();
            anyhow::bail!("{path} is damaged, or another version's: if the files beside it are sound, delete it");
        }
        Ok(Self { path, lock: file, is_complete })
    }

    /// Sees to it that the SQLite file `name` is there, sound and writable.
    ///
    /// # Errors
    /// It is not; nothing of it has been changed then.
    pub(super) fn check(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        if length == 0 && self.is_complete {
            let path = path.display();
            anyhow::bail!(
                "{path} is missing or empty though the folder was in use: put it back, or use another folder"
            );
        }
        open_for_writing(&path)?;
        if length > 0 {
            is_sound(&path).with_context(|| format!("{} is damaged, and was left as it is", path.display()))?;
        }
        Ok(())
    }

    /// Notes that every file has been made.
    pub(super) fn complete(&mut self) -> anyhow::Result<()> {
        if !self.is_complete {
            let written = self.lock.set_len(0).and_then(|()| self.lock.write_all(COMPLETE.as_bytes()));
            written.with_context(|| format!("cannot write to the data folder {}", self.path.display()))?;
            self.is_complete = true;
        }
        Ok(())
    }
}

/// Opens a file that its owner alone may read, making it if it is missing: secrets are in all of them.
fn open_for_writing(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

/// Reads all of an SQLite file, and writes nothing.
fn is_sound(path: &Path) -> anyhow::Result<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // What is found is headed by a line that says only where it was looked for.
    anyhow::ensure!(found == "ok", "{}", found.lines().last().unwrap_or_default());
    Ok(())
}
