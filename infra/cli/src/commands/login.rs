//! `hookline login` and `hookline logout`.

use crate::{
    client::{Client, Error},
    connection::{Connection, Given, LOCAL_URL, Source, Token, parse_url},
    login::Login,
    output::Output,
    terminal,
    usage::UsageError,
};
use http::StatusCode;
use std::{
    io::{self, BufRead, Read},
    process::ExitCode,
};
use url::Url;

/// The most bytes of a token that is read from stdin, with its line break.
const TOKEN_BYTES_MAX: u64 = 1024;

/// Asks for what was not given, checks it with a request, and stores it.
pub(super) fn log_in(given: Given, out: Output) -> anyhow::Result<ExitCode> {
    let url = given.url.map_or_else(ask_url, Ok)?;
    let token = given.token.map_or_else(ask_token, Ok)?;
    let login = Login { url, token, account: given.account };
    super::runtime()?.block_on(check(&login))?;
    let path = login.write()?;
    out.line(&format!("logged in to {}, stored in {}", login.url, path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn ask_url() -> anyhow::Result<Url> {
    if !terminal::can_ask() {
        return Err(UsageError::new("give the URL of the API with --url").into());
    }
    let typed = terminal::ask("URL of the API", LOCAL_URL)?;
    Ok(parse_url(&typed).map_err(|fault| UsageError::new(format!("the URL {fault}")))?)
}

/// Asks a person for the token, or reads it from stdin.
fn ask_token() -> anyhow::Result<Token> {
    let typed = if terminal::can_ask() {
        terminal::ask_hidden("Token (not shown)")?
    } else {
        let mut line = String::new();
        io::stdin().lock().take(TOKEN_BYTES_MAX).read_line(&mut line)?;
        line.trim().to_owned()
    };
    Ok(typed
        .parse()
        .map_err(|fault| UsageError::new(format!("the token {fault}: type it, or give it with --token")))?)
}

/// Makes a request that every token may make.
async fn check(login: &Login) -> Result<(), Error> {
    let Login { url, token, account } = login.clone();
    let connection =
        Connection { url, url_source: Source::Given, token: Some(token), token_source: Source::Given, account };
    match Client::new(&connection)?.list_event_types().await {
        // A platform token must name an account, in this request as in later ones. The token itself is valid.
        Err(error) if error.status() == Some(StatusCode::BAD_REQUEST) && connection.account.is_none() => {
            eprintln!("This is a platform token: name an account with --account in each command, or log in with one.");
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Removes what is stored.
pub(super) fn log_out(out: Output) -> anyhow::Result<ExitCode> {
    match Login::remove()? {
        Some(path) => out.line(&format!("removed {}", path.display()))?,
        None => out.line("nothing was stored")?,
    }
    Ok(ExitCode::SUCCESS)
}
