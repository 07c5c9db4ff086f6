//! Accounts: the isolated tenants that every webhook, event and delivery belongs to.
//!
//! The account is part of every key of every table (`shared/store/src/keys.rs`), and a request's account comes from its token alone
//! (`functions/api/src/auth.rs`), so no id that a caller sends can reach another account's data.

use crate::id::{InvalidId, text_form};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An account's name, which its operator chooses: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// The most characters of an account's name.
const NAME_MAX: usize = 64;

impl AccountId {
    /// Reads a name. The error is a phrase for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.len() > NAME_MAX {
            Err(format!("must have at most {NAME_MAX} characters"))
        } else if text.is_empty() || !text.bytes().all(allowed) {
            Err(format!("must have 1 to {NAME_MAX} letters, digits, '-' and '_'"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Returns the account `platform`, whose webhooks receive the operational events of all accounts. Only platform tokens may use it.
    pub fn platform() -> Self {
        Self("platform".to_owned())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text).map_err(|_| InvalidId)
    }
}

text_form!(AccountId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_contains_no_separator() {
        for wrong in ["", "a b", "a#b", "a/b", "ä", &"x".repeat(65)] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
        assert_eq!(AccountId::parse(&"x".repeat(65)), Err("must have at most 64 characters".to_owned()));
        assert_eq!("acme-1_EU".parse::<AccountId>().expect("valid").as_str(), "acme-1_EU");
    }
}
