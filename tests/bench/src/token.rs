//! A token for sections that run without the local process.

use application::App;
use domain::{
    account::AccountId,
    id::TokenId,
    token::{self, Scope, Token},
};
use store::tokens;

/// Creates a token of `account` that may publish and manage, and returns its text.
pub(crate) async fn create(app: &App, account: &AccountId) -> anyhow::Result<String> {
    let (text, now) = (token::generate(&app.random), app.clock.now());
    let token = Token {
        id: TokenId::new(now, &app.random),
        bound_to: Some(account.clone()),
        scopes: vec![Scope::Manage, Scope::Publish],
        description: None,
        created_at: now,
        hash: token::hash(&text),
        session: None,
    };
    tokens::create(&app.store, &token).await?;
    Ok(text)
}
