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
        Ok(text) if tokens::is_generated(text.trim_end()) => return Ok(text.trim_end().to_owned()),
        // A part of a token is not one: it would be easier to guess, and nobody has it.
        Ok(_) => anyhow::bail!("{} holds no token: delete it to get a new one, or give --token", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let text = tokens::generate(&app.random);
    // Under another name first: a process that dies in between leaves no half of a token behind.
    let new = data.join(format!("{FILE}.new"));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| writeln!(file, "{text}")).and_then(|()| std::fs::rename(&new, &path));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text)
}
