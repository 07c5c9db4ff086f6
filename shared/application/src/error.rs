//! How a use case can fail.

use domain::job::TooManyHops;
use store::{QueueError, StoreError};

/// A use case could not be completed. Some of its calls may have taken effect; repeating it is harmless.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A fan-out or a recovery has had too many jobs: it does not end.
    #[error(transparent)]
    TooManyHops(#[from] TooManyHops),
}

impl Error {
    /// Whether AWS refused a call because of its rate.
    pub fn is_throttled(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Throttled(_)),
            Self::Queue(error) => error.is_throttled(),
            Self::TooManyHops(_) => false,
        }
    }
}
