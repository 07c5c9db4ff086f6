//! The terminal: its width, whether it may have colours, and a line that is typed without being shown.

use anyhow::{Context, bail};
use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr},
};
use std::{
    io::{self, IsTerminal, Read},
    os::fd::AsFd,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The most bytes of a line that is typed.
const LINE_BYTES_MAX: usize = 4096;

/// The columns of the terminal, if `output` is one and knows.
pub(crate) fn width(output: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(output).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Whether the environment allows colours (<https://no-color.org>).
pub(crate) fn allows_colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line. An empty one is the default.
pub(crate) fn ask(question: &str, default: &str) -> anyhow::Result<String> {
    eprint!("{question} [{default}]: ");
    let line = io::stdin().lines().next().transpose()?.context("nothing was typed")?;
    let typed = line.trim();
    Ok(if typed.is_empty() { default.to_owned() } else { typed.to_owned() })
}

/// Asks for a line that is not shown while it is typed.
pub(crate) fn ask_hidden(question: &str) -> anyhow::Result<String> {
    let typed = {
        // Before the question, so that not even a fast typist's keys are shown.
        let _hidden = Hidden::begin()?;
        eprint!("{question}: ");
        read_typed(&mut io::stdin().lock())
    };
    eprintln!();
    typed
}

/// The terminal while it shows nothing. Ctrl-C is a character then, so that the terminal is always put back.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("the terminal cannot be read")?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).context("the terminal cannot be changed")?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        tcsetattr(io::stdin(), OptionalActions::Flush, &self.before).ok();
    }
}

/// The keys that are typed, each at once and without being shown. Ctrl-C is a signal as before.
pub(crate) struct Keys {
    before: Termios,
    typed: UnboundedReceiver<u8>,
}

impl Keys {
    /// Begins, if stdin is a terminal that this process may read from now.
    pub(crate) fn begin() -> Option<Self> {
        let is_ours = tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        let before = tcgetattr(io::stdin()).ok().filter(|_| is_ours)?;
        let mut plain = before.clone();
        plain.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        tcsetattr(io::stdin(), OptionalActions::Now, &plain).ok()?;
        let (sender, typed) = unbounded_channel();
        // The thread ends with the process: a read from a terminal cannot be ended.
        std::thread::spawn(move || {
            let mut key = [0];
            while io::stdin().read(&mut key).is_ok_and(|read| read == 1) && sender.send(key[0]).is_ok() {}
        });
        Some(Self { before, typed })
    }

    /// Waits for the next key.
    pub(crate) async fn next(&mut self) -> char {
        match self.typed.recv().await {
            Some(key) => key.into(),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before).ok();
    }
}

/// Reads a line as it is typed, key by key.
fn read_typed(keys: &mut impl Read) -> anyhow::Result<String> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const BACKSPACE: u8 = 8;
    const CTRL_U: u8 = 21;
    const DELETE: u8 = 127;
    let (mut line, mut key) = (vec![], [0]);
    while keys.read(&mut key)? == 1 {
        match key[0] {
            b'\n' | b'\r' | CTRL_D => break,
            CTRL_C => bail!("interrupted"),
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => {
                line.pop();
            }
            _ if line.len() == LINE_BYTES_MAX => bail!("the line has more than {LINE_BYTES_MAX} bytes"),
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).context("what was typed is not UTF-8").map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_a_line() {
        let typed = |keys: &[u8]| read_typed(&mut &*keys).expect("a line");
        assert_eq!(typed(b"hl_tokex\x7fn\rmore"), "hl_token");
        assert_eq!(typed(b"wrong\x15right\n"), "right");
        assert_eq!(typed(b""), "");
        assert!(read_typed(&mut &b"hl_\x03"[..]).is_err(), "Ctrl-C ends it");
    }
}
