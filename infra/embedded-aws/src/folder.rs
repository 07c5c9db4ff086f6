//! The data folder. Only its owner can read it, only one process at a time can open it, and a damaged file is found before a
//! request finds it.
//!
//! If a file is damaged or missing, the process ends with an error that names the file. To continue without the file would silently
//! lose acknowledged events (ADR 11). Reading all of a large file takes long, so it is read only if it may have been damaged since it was
//! last sound (ADR 36):
//!
//! | the process before | the check |
//! |---|---|
//! | stopped, and the file is as it was then | none |
//! | was killed, or the machine lost power | in the background, by [`Check`] |
//! | stopped, and the file was changed since; or found damage | before anything is written; on damage, nothing is changed |

use anyhow::Context;
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tokio::sync::watch;

/// The content of the lock file once every file of the folder has been created.
const COMPLETE: &str = "hookline data 1\n";
/// The file with what is known of the SQLite file: what it was like when a process stopped ([`state_of`]), or that it is damaged.
const STATE: &str = "state";
/// The content of the state of a damaged file.
const DAMAGED: &str = "damaged\n";
/// How often a check is told to end.
const INTERRUPT_EVERY: Duration = Duration::from_millis(1);

/// A locked folder.
pub(super) struct Folder {
    path: PathBuf,
    /// The lock file. The lock ends when this handle is closed, even if the process is killed.
    lock: File,
    is_complete: bool,
    /// The SQLite file, if it is known to be sound. Dropping the folder, after the file is closed, notes its state.
    sound: Option<PathBuf>,
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
        Ok(Self { path, lock: file, is_complete, sound: None })
    }

    /// Checks that the SQLite file `name` is writable. On a first start, creates it. Returns whether the file is sound; if not, only a [`Check`]
    /// can say so.
    ///
    /// # Errors
    /// The file is damaged, cannot be written to, or is missing although the folder was in use. It has not been changed.
    pub(super) fn check(&mut self, name: &str) -> anyhow::Result<bool> {
        let path = self.path.join(name);
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        if length == 0 && self.is_complete {
            let path = path.display();
            anyhow::bail!(
                "{path} is missing or empty, but the folder was in use: restore the file, or use another folder"
            );
        }
        open_for_writing(&path)?;
        let state = self.path.join(STATE);
        let is_known = match fs::read_to_string(&state) {
            _ if length == 0 => true,
            Ok(then) if state_of(&path).is_some_and(|now| now == then) => true,
            Ok(_) => {
                is_sound(&open_for_reading(&path)?)
                    .with_context(|| format!("{} is damaged; it was not changed", path.display()))?;
                true
            }
            Err(_) => false,
        };
        // From here on the file may change, and the process may be killed.
        let removed = match fs::remove_file(&state) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| File::open(&self.path)?.sync_all()),
        };
        removed.with_context(|| format!("cannot remove {}", state.display()))?;
        self.sound = is_known.then_some(path);
        Ok(is_known)
    }

    /// Notes that the file `name` is sound.
    pub(super) fn trust(&mut self, name: &str) {
        self.sound = Some(self.path.join(name));
    }

    /// Notes that the file was found damaged while it was used. The next start reads it before it writes anything.
    pub(super) fn distrust(&mut self) {
        self.sound = None;
        note(&self.path, DAMAGED);
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

impl Drop for Folder {
    /// Leaves word that the file is sound, and what it is like. Without that, the next start checks it.
    fn drop(&mut self) {
        let state = self.sound.as_deref().filter(|_| self.is_complete).and_then(state_of);
        if let Some(state) = state {
            note(&self.path, &state);
        }
    }
}

/// Writes down what is known of the SQLite file of the folder at `folder`. With half of a note, the next start checks the file.
fn note(folder: &Path, state: &str) {
    let noted = open_for_writing(&folder.join(STATE)).and_then(|mut file| Ok(file.write_all(state.as_bytes())?));
    if let Err(error) = noted {
        tracing::warn!(%error, "the state of the data cannot be noted: the next start checks it");
    }
}

/// Returns what the SQLite file at `path` is like, as one line: its length, its number, and when it was changed, which no copy keeps.
/// `None` if it cannot be read, or part of its content is in a log beside it.
fn state_of(path: &Path) -> Option<String> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = fs::metadata(log).is_ok_and(|log| log.len() > 0);
    let file = path.metadata().ok().filter(|_| !has_log)?;
    Some(format!("{} {} {}.{:09}\n", file.len(), file.ino(), file.ctime(), file.ctime_nsec()))
}

/// The check of a file in a thread of its own, while the file is in use. Dropping it ends the thread.
pub(super) struct Check {
    interrupt: InterruptHandle,
    ended: watch::Receiver<Option<Checked>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What a check has found.
#[derive(Clone, Debug)]
enum Checked {
    Sound,
    /// With the line that says so.
    Damaged(String),
    /// The check could not be made, or was interrupted.
    Unknown,
}

impl Check {
    /// Begins to check the file `name` of the folder at `folder`, which must have been opened.
    pub(super) fn begin(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let (folder, path) = (folder.to_owned(), folder.join(name));
        let connection = open_for_reading(&path)?;
        let (interrupt, (sender, ended)) = (connection.get_interrupt_handle(), watch::channel(None));
        let check = move || {
            let checked = match is_sound(&connection) {
                Ok(()) => Checked::Sound,
                Err(error) if is_damage(&error) => {
                    // The next start is to find it before it writes anything.
                    note(&folder, DAMAGED);
                    Checked::Damaged(format!("{} is damaged: {error:#}", path.display()))
                }
                Err(error) => {
                    tracing::info!(%error, "the data was not read to its end: the next start reads it");
                    Checked::Unknown
                }
            };
            sender.send_replace(Some(checked));
        };
        let thread = thread::Builder::new().name("check".to_owned()).spawn(check)?;
        Ok(Self { interrupt, ended, thread: Some(thread) })
    }

    /// Waits until the check has ended.
    ///
    /// # Errors
    /// The file is damaged.
    pub(super) async fn end(&self) -> anyhow::Result<()> {
        let mut ended = self.ended.clone();
        let checked = ended.wait_for(Option::is_some).await.context("the check has ended without a result")?;
        match checked.as_ref() {
            Some(Checked::Damaged(how)) => Err(anyhow::Error::msg(how.clone())),
            _ => Ok(()),
        }
    }

    /// Whether the check has found the file sound.
    pub(super) fn is_passed(&self) -> bool {
        matches!(*self.ended.borrow(), Some(Checked::Sound))
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            // SQLite forgets an interrupt that comes before the statement has begun.
            self.interrupt.interrupt();
            thread::sleep(INTERRUPT_EVERY);
        }
        let _ = thread.join();
    }
}

/// Whether a check has failed because of the file, and not because it could not read it now.
fn is_damage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<rusqlite::Error>().is_none_or(says_damaged)
}

/// Whether SQLite says that the file is damaged.
pub(super) fn says_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Opens a file for reading and writing. If it is missing, creates it so that only its owner can read it, because every file
/// holds secrets.
fn open_for_writing(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

fn open_for_reading(path: &Path) -> anyhow::Result<Connection> {
    Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

/// Reads all of an SQLite file and checks it. Writes nothing.
fn is_sound(connection: &Connection) -> anyhow::Result<()> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // The first line of what SQLite found only names the database that was checked.
    anyhow::ensure!(found == "ok", "{}", found.lines().last().unwrap_or_default());
    Ok(())
}
