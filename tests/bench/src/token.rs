//! A token to publish with, where no process makes one.

use hookline::{
    app::App,
    id::{AccountId, TokenId},
    store::tokens::{self, Scope, Token},
};

/// A new token that may publish for `account`.
pub(crate) async fn publisher(app: &App, account: &AccountId) -> anyhow::Result<String> {
    let (text, now) = (tokens::generate(&app.random), app.clock.now());
    let token = Token {
        id: TokenId::new(now, &app.random),
        bound_to: Some(account.clone()),
        scopes: vec![Scope::Publish],
        description: None,
        created_at: now,
        hash: tokens::hash(&text),
    };
    tokens::create(app, &token).await?;
    Ok(text)
}
