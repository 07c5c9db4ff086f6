//! What `hookline login` stores: a URL with its token, in the user's configuration folder, readable by its owner alone.

use crate::{
    connection::{Token, parse_url},
    storage,
};
use anyhow::{Context, anyhow};
use domain::account::AccountId;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use url::Url;

/// The file in Hookline's folder.
const FILE: &str = "login.json";
/// The most bytes of the file.
const BYTES_MAX: u64 = 16 << 10;

/// A stored login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) url: Url,
    pub(crate) token: Token,
    /// The account that requests are about.
    pub(crate) account: Option<AccountId>,
}

/// A login as it is written.
#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    token: String,
    account: Option<AccountId>,
}

impl Login {
    /// Reads the stored login, if there is one.
    pub(crate) fn read() -> anyhow::Result<Option<Self>> {
        match storage::folder() {
            Ok(folder) => Self::read_from(&folder.join(FILE)),
            // Without a home there is nothing stored, and everything can be given.
            Err(_) => Ok(None),
        }
    }

    fn read_from(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = storage::read(path, BYTES_MAX).with_context(|| format!("cannot read {}", path.display()))?;
        let login = text.map(|text| Self::parse(&text)).transpose();
        login.with_context(|| format!("{} is not a login: `hookline logout` removes it", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let stored: Stored = serde_json::from_str(text)?;
        let url = parse_url(&stored.url).map_err(|fault| anyhow!("the URL {fault}"))?;
        let token = stored.token.parse().map_err(|fault| anyhow!("the token {fault}"))?;
        Ok(Self { url, token, account: stored.account })
    }

    /// Stores it in place of an earlier one. Returns the file.
    pub(crate) fn write(&self) -> anyhow::Result<PathBuf> {
        let path = storage::folder()?.join(FILE);
        self.write_to(&path)?;
        Ok(path)
    }

    fn write_to(&self, path: &Path) -> anyhow::Result<()> {
        let token = self.token.expose().to_owned();
        let stored = Stored { url: self.url.to_string(), token, account: self.account.clone() };
        let text = serde_json::to_string_pretty(&stored)? + "\n";
        storage::write(path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the stored login. Returns the file, or `None` if nothing was stored.
    pub(crate) fn remove() -> anyhow::Result<Option<PathBuf>> {
        let path = storage::folder()?.join(FILE);
        let removed = storage::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        Ok(removed.then_some(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

    fn login() -> Login {
        let url = parse_url("https://hooks.example.com/").expect("a URL");
        Login { url, token: "hl_stored".parse().expect("a token"), account: Some("acme".parse().expect("an account")) }
    }

    #[test]
    fn a_login_is_read_as_it_was_written_and_only_its_owner_can_read_it() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("config/hookline");
        let path = folder.join(FILE);
        assert_eq!(Login::read_from(&path).expect("nothing is stored"), None);
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        for login in [login(), Login { account: None, ..login() }] {
            login.write_to(&path).expect("written");
            assert_eq!(Login::read_from(&path).expect("read"), Some(login));
            assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("changed");
        }
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        for text in
            ["", "{}", r#"{"url":"x","token":"hl_stored"}"#, r#"{"url":"https://a.b","token":"\u001b[2J12345"}"#]
        {
            fs::write(&path, text).expect("written");
            let error = Login::read_from(&path).expect_err(text).to_string();
            assert!(error.contains("login.json") && error.contains("logout"), "{error}");
        }
    }
}
