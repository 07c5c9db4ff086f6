//! A secret text that a user gives Hookline to send: a password, a token, the value of a header. `Debug` does not show it, so it
//! cannot reach a log by accident.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What answers show instead of a stored credential. A change that sends it keeps the stored one.
pub const HIDDEN: &str = "***";

/// A secret text. It is stored as it is, in a table that is encrypted at rest.
#[derive(Clone, Debug)]
pub struct Credential(SecretString);

impl Credential {
    /// Returns the text itself, for sending and for storing.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Credential {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Credential {}

impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_a_credential() {
        let credential = Credential::from("hunter2".to_owned());
        assert!(!format!("{credential:?}").contains("hunter2"));
    }
}
