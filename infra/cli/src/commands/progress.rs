//! Waiting for something that the API shows.

use std::time::Duration;

/// The first wait between two looks, and the longest. Each is half as long again as the one before.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// The wait before the next look.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Pause {
    /// The wait before the second look.
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// Waits. The next wait is longer.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(LONGEST);
    }
}
