//! Colours with a meaning.

/// What a text means to its reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing special.
    #[default]
    Plain,
    /// It is well.
    Good,
    /// Something failed.
    Bad,
    /// It waits, or needs attention.
    Waiting,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
}

impl Style {
    /// The style of the status of a webhook, a delivery or a recovery.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            "enabled" | "delivered" | "done" | "ok" => Self::Good,
            "failed" | "disabled" => Self::Bad,
            "pending" | "held" | "running" | "stopped" => Self::Waiting,
            "cancelled" => Self::Faint,
            _ => Self::Plain,
        }
    }

    /// Puts the escape sequences of a terminal around a text.
    pub(super) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => "32",
            Self::Bad => "31",
            Self::Waiting => "33",
            Self::Faint => "2",
            Self::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
