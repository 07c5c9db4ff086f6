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

impl AccountId {
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
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
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
        assert_eq!("acme-1_EU".parse::<AccountId>().expect("valid").as_str(), "acme-1_EU");
    }
}
