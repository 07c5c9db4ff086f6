//! `hookline completions`.

use crate::{options::Options, output::Output};
use clap::CommandFactory;
use clap_complete::Shell;
use std::process::ExitCode;

/// Prints the completions for a shell.
pub(super) fn print(shell: Shell, out: Output) -> anyhow::Result<ExitCode> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Options::command(), "hookline", &mut script);
    out.line(String::from_utf8(script)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
