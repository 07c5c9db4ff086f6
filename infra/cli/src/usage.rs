//! Wrong usage, which has an exit status of its own.

use std::fmt;

/// What is wrong with the options or with what they name. The exit status is 2.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl UsageError {
    /// Wrong usage, in words for the user.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}
