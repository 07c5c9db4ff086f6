//! The local runner's own token: given, or made once and kept in the data folder. It belongs to the account `default` and
//! has every scope.

use anyhow::Context;
use hookline::{
    app::App,
    id::TokenId,
    store::tokens::{self, Scope, Token},
    time::Timestamp,
};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The file in the data folder.
const FILE: &str = "token";

/// Makes sure that the token works, and that the one before it, if it was another, does not. Gives the token.
pub(crate) async fn ensure(app: &App, given: Option<String>, data: Option<&Path>) -> anyhow::Result<String> {
    let text = match (given, data) {
        (Some(text), _) => text,
        (None, Some(data)) => kept(app, data)?,
        (None, None) => tokens::generate(&app.random),
    };
    let token = Token {
        id: TokenId::derived(Timestamp::EPOCH, b"local"),
        bound_to: Some("default".parse().context("the account's name")?),
        scopes: vec![Scope::Manage, Scope::Publish, Scope::Platform],
        description: Some("the local runner's".to_owned()),
        created_at: app.clock.now(),
        hash: tokens::hash(&text),
    };
    tokens::delete(app, token.id).await?;
    tokens::create(app, &token).await?;
    Ok(text)
}

/// The token in the data folder, made if there is none. Only the folder's owner may read it.
fn kept(app: &App, data: &Path) -> anyhow::Result<String> {
    let path = data.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let text = tokens::generate(&app.random);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{text}"));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text)
}
