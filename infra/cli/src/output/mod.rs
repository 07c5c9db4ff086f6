//! What the commands print: tables and details for people, the server's own JSON for programs.

pub(crate) mod details;
pub(crate) mod moment;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod text;

use crate::{client::Answer, terminal};
use std::io::{self, IsTerminal, Write};
use style::Style;
use table::Table;

/// Where a command prints, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether to print JSON for programs.
    pub(crate) json: bool,
    /// The terminal's columns; `None` if the output is not a terminal.
    pub(crate) width: Option<usize>,
    /// Whether to use colours.
    color: bool,
}

impl Output {
    /// The output on stdout, which is a terminal or not.
    pub(crate) fn new(json: bool) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self {
            json,
            width: is_terminal.then(|| terminal::width(&stdout)).flatten(),
            color: is_terminal && terminal::allows_colors(),
        }
    }

    /// Prints a line. The text is the program's own, or was made harmless.
    #[allow(clippy::unused_self, reason = "a command prints through the output that it was given")]
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// Prints the JSON of an answer as the server sent it.
    pub(crate) fn json(self, json: &str) -> io::Result<()> {
        let json = json.trim_end();
        if json.is_empty() {
            return Ok(());
        }
        if self.width.is_some() { self.line(&text::escaped_json(json)) } else { self.line(json) }
    }

    /// Prints an answer: as JSON, or as `print` does for people.
    pub(crate) fn answer<T>(
        self,
        answer: &Answer<T>,
        print: impl FnOnce(Self, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.json { self.json(&answer.json) } else { print(self, &answer.value) }
    }

    /// Prints every member of an answer that is an object, one a line.
    pub(crate) fn details<T>(self, answer: &Answer<T>) -> io::Result<()> {
        if self.json { self.json(&answer.json) } else { self.line(&details::of(&answer.json, None)) }
    }

    /// The same for people, without the member `left_out`.
    pub(crate) fn details_without<T>(self, answer: &Answer<T>, left_out: &str) -> io::Result<()> {
        self.line(&details::of(&answer.json, Some(left_out)))
    }

    /// Prints a table.
    pub(crate) fn table(self, table: &Table) -> io::Result<()> {
        for line in table.lines(self) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Colours a text, where colours are used.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.color { style.paint(text) } else { text.to_owned() }
    }
}
