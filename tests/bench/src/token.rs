//! A token for sections that run without the local process.

use application::App;
use domain::{
    account::AccountId,
    token::{Scope, Token},
};
use store::tokens;

/// Creates a token of `account` that may publish and manage, and returns its text.
pub(crate) async fn create(app: &App, account: &AccountId) -> anyhow::Result<String> {
    let scopes = vec![Scope::Manage, Scope::Publish];
    let (text, token) = Token::issue(Some(account.clone()), scopes, None, app.clock.now(), &app.random);
    tokens::create(&app.store, &token).await?;
    Ok(text)
}
