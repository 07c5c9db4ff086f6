//! The API token of the local process, and a link to its portal. The user gives it, or it is generated once and kept in the data folder. It belongs to
//! the account `default` and has every scope.

use anyhow::Context;
use application::{
    App,
    portal::{self, NewLink},
};
use domain::{
    account::AccountId,
    id::TokenId,
    portal::SESSION_MAX,
    time::Timestamp,
    token::{self, Scope, Token},
};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use store::tokens;

/// The file in the data folder.
const FILE: &str = "token";

/// Makes the token valid, and the previous one invalid if it was another. Returns the token's text.
pub(crate) async fn ensure(app: &App, given: Option<String>, data: Option<&Path>) -> anyhow::Result<String> {
    let text = match (given, data) {
        (Some(text), _) => text,
        (None, Some(data)) => kept(app, data)?,
        (None, None) => token::generate(&app.random),
    };
    let token = Token {
        id: TokenId::derived(Timestamp::EPOCH, b"local"),
        bound_to: Some(account()?),
        scopes: vec![Scope::Manage, Scope::Publish, Scope::Platform],
        description: Some("the local runner's".to_owned()),
        created_at: app.clock.now(),
        hash: token::hash(&text),
        session: None,
    };
    tokens::delete(&app.store, token.id).await?;
    tokens::create(&app.store, &token).await?;
    Ok(text)
}

/// Makes a link to the portal. Returns its code. The session may do everything that one of the account may.
pub(crate) async fn portal_code(app: &App) -> anyhow::Result<String> {
    let new = NewLink { read_only: false, publish: true, webhook: None, session: SESSION_MAX };
    Ok(portal::make_link(app, account()?, new).await?.code)
}

fn account() -> anyhow::Result<AccountId> {
    "default".parse().context("the account's name")
}

/// Returns the token in the data folder. If there is none, generates one and stores it so that only its owner can read it.
fn kept(app: &App, data: &Path) -> anyhow::Result<String> {
    let path = data.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if token::is_generated(text.trim_end()) => return Ok(text.trim_end().to_owned()),
        // A part of a token is not accepted as a token: it would be easier to guess, and no client uses it.
        Ok(_) => anyhow::bail!("{} holds no token: delete it to get a new one, or set --token", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let text = token::generate(&app.random);
    // Write it under another name first, so that a process that dies in between does not leave half a token.
    let new = data.join(format!("{FILE}.new"));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| writeln!(file, "{text}")).and_then(|()| std::fs::rename(&new, &path));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text)
}
