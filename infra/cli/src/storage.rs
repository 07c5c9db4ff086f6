//! Files that `hookline` keeps: in the user's configuration folder, readable by their owner alone, written as a whole or not at all.

use anyhow::bail;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Hookline's folder in the user's configuration folder.
const FOLDER: &str = "hookline";

/// Hookline's folder in the user's configuration folder (XDG Base Directory Specification, on every system).
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (variable("XDG_CONFIG_HOME"), variable("HOME")) {
        (Some(folder), _) => Ok(folder.join(FOLDER)),
        (None, Some(home)) => Ok(home.join(".config").join(FOLDER)),
        (None, None) => bail!("neither XDG_CONFIG_HOME nor HOME names a folder to keep files in"),
    }
}

/// Creates a folder that its owner alone can read.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // It may have existed with other permissions.
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// Writes a file in place of an earlier one. A crash leaves the earlier one or the new one, each whole.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    // Each process has a file of its own, so that two at once cannot mix what they write.
    let new = path.with_added_extension(std::process::id().to_string());
    remove(&new)?;
    let written = write_durably(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        remove(&new)?;
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Reads at most `bytes_max` bytes of a file, or returns `None` if it is not there.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(bytes_max).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Removes a file. Returns whether it was there.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
