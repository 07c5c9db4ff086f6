//! What keeps polls from working. Each is said once, and when it is over.

use super::lines;
use crate::client::Error;
use http::StatusCode;
use std::time::Duration;

/// The first wait after a failure. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A kind of trouble that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The server is not reached, or fails.
    Connection,
    /// The token is not valid any more.
    Token,
    /// The webhook is disabled.
    Disabled,
}

impl Kind {
    /// Returns the kind of a failed poll, or `None` if it does not pass by itself.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error.status() {
            // Once it has worked, what is no answer of Hookline comes from something between.
            _ if error.is_outage() || !error.is_answer_of_hookline() => Some(Self::Connection),
            Some(StatusCode::UNAUTHORIZED) => Some(Self::Token),
            Some(StatusCode::CONFLICT) => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// The present trouble, if there is one.
#[derive(Debug)]
pub(super) struct Trouble {
    kind: Option<Kind>,
    wait: Duration,
}

impl Trouble {
    pub(super) fn none() -> Self {
        Self { kind: None, wait: FIRST_WAIT }
    }

    /// Says that something is wrong, unless that was said. Returns how long to wait.
    pub(super) fn begins(&mut self, kind: Kind, error: &Error) -> Duration {
        if self.kind != Some(kind) {
            *self = Self { kind: Some(kind), wait: FIRST_WAIT };
            let what = match kind {
                Kind::Connection => "The connection is lost; trying again.",
                Kind::Token => "The token is not valid any more; waiting for `hookline login`.",
                Kind::Disabled => "The webhook is disabled; waiting until it is enabled.",
            };
            lines::say(&format!("{what} ({error})"));
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(WAIT_MAX);
        wait
    }

    /// Says that it is over.
    pub(super) fn ends(&mut self) {
        if self.kind.is_some() {
            lines::say("Connected again; going on where it stopped.");
            *self = Self::none();
        }
    }
}
