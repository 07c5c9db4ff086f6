//! Colours of the text on a terminal.

use std::io::IsTerminal;

/// Whether text gets colours. Without them, it must say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Coloured,
    Plain,
}

impl Style {
    /// Returns the style for `stream`: colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>) or the terminal
    /// has none.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if stream.is_terminal() && !is_unwanted && !is_dumb { Self::Coloured } else { Self::Plain }
    }

    /// What the user needs most.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What the eye may skip.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What failed.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What succeeded.
    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What may yet go well.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Coloured if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Coloured | Self::Plain => text.to_owned(),
        }
    }
}
