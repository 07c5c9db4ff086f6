//! What `hookline listen` knows about its webhook and its position. With a name, it is kept in a file, so that the next start goes on.

use super::position::Position;
use crate::{
    connection::{Connection, is_same},
    storage,
    usage::UsageError,
};
use anyhow::{Context, bail};
use domain::{
    account::AccountId,
    id::{EventId, WebhookId},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
};
use url::Url;

/// The folder of the files, in Hookline's folder.
const FOLDER: &str = "listen";
/// The most bytes of a file: a secret, a cursor, and the ids of the latest events.
const BYTES_MAX: u64 = 64 << 10;
/// The most characters of a name.
const NAME_MAX: usize = 64;

/// The name of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("must have 1 to {NAME_MAX} letters, digits, - or _"))
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The webhook of a listener, and how far it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The API's URL.
    pub(super) url: String,
    /// The account.
    pub(super) account: Option<AccountId>,
    /// The polled webhook.
    pub(super) webhook: WebhookId,
    /// Its secret.
    pub(super) secret: String,
    /// How far the listener has come.
    pub(super) position: Position,
}

/// Where a named listener keeps its state. Others of the same name are kept out as long as it exists.
pub(super) struct Store {
    files: Option<Files>,
}

/// The files of a name.
struct Files {
    /// The state, which survives a loss of power.
    state: PathBuf,
    /// The ids of the events that were forwarded since the state was written, one a line. It is not synced: that would take longer
    /// than most receivers, and what a loss of power takes away is only forwarded again. It is also the lock of the name.
    forwarded: File,
}

impl Store {
    /// Opens the store of a listener, which keeps nothing without a name.
    pub(super) fn open(name: Option<&Name>) -> anyhow::Result<Self> {
        let Some(name) = name else { return Ok(Self { files: None }) };
        let folder = storage::folder()?.join(FOLDER);
        storage::create_folder(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("{name}.forwarded"));
        let forwarded = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path);
        let forwarded = forwarded.with_context(|| format!("cannot open {}", path.display()))?;
        match forwarded.try_lock() {
            Ok(()) => {
                let state = folder.join(format!("{name}.json"));
                remove_unfinished(&state).with_context(|| format!("cannot clean up {}", folder.display()))?;
                Ok(Self { files: Some(Files { state, forwarded }) })
            }
            Err(TryLockError::WouldBlock) => {
                bail!("another `hookline listen --name {name}` is running: end it, or choose another name")
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Reads the state of the last run with this API, if there was one.
    ///
    /// # Errors
    /// The name belongs to another API or account, or the file is damaged.
    pub(super) fn read(&self, connection: &Connection) -> anyhow::Result<Option<State>> {
        let Some(Files { state: path, forwarded }) = &self.files else { return Ok(None) };
        let cannot_read = || format!("cannot read {}", path.display());
        let Some(text) = storage::read(path, BYTES_MAX).with_context(cannot_read)? else { return Ok(None) };
        let mut state: State = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: remove it to begin anew", path.display()))?;
        let is_same_url = Url::parse(&state.url).is_ok_and(|url| is_same(&url, &connection.url));
        if !is_same_url || state.account != connection.account {
            let of_account = state.account.as_ref().map(|account| format!(", account {account}")).unwrap_or_default();
            let message =
                format!("this name belongs to a listener on {}{of_account}: choose another --name", state.url);
            return Err(UsageError::new(message).into());
        }
        let mut ids = vec![];
        forwarded.take(BYTES_MAX).read_to_end(&mut ids).with_context(cannot_read)?;
        // A line that a crash has cut names no event.
        for id in String::from_utf8_lossy(&ids).lines().filter_map(|id| id.parse().ok()) {
            state.position.add(id);
        }
        Ok(Some(state))
    }

    /// Whether the state outlives the process.
    pub(super) fn is_kept(&self) -> bool {
        self.files.is_some()
    }

    /// Keeps the state, as a whole or not at all.
    pub(super) fn write(&self, state: &State) -> anyhow::Result<()> {
        let Some(Files { state: path, forwarded }) = &self.files else { return Ok(()) };
        let text = serde_json::to_string(state)? + "\n";
        let written = storage::write(path, &text).and_then(|()| forwarded.set_len(0));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Notes that an event needs no more attempt, until the state is written.
    pub(super) fn note(&self, id: EventId) -> anyhow::Result<()> {
        let Some(Files { state: path, forwarded }) = &self.files else { return Ok(()) };
        let mut forwarded = forwarded;
        let written = forwarded.write_all(format!("{id}\n").as_bytes());
        written.with_context(|| format!("cannot write the ids beside {}", path.display()))
    }
}

/// Removes what a killed process has left beside a file that it was writing. Nobody else writes it: the name is locked.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    let (Some(folder), Some(file)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let begin = format!("{}.", file.to_string_lossy());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&begin) {
            storage::remove(&entry.path())?;
        }
    }
    Ok(())
}
