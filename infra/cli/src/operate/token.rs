//! Creates a platform token. The API creates account tokens only, so the first token of a stack is created here.

use application::App;
use domain::token::{Scope, Token};
use store::tokens;

/// Creates a platform token and prints its text. Only its SHA-256 is stored.
pub(crate) async fn create(app: &App, description: String) -> anyhow::Result<()> {
    let scopes = vec![Scope::Manage, Scope::Publish, Scope::Platform];
    let (text, token) = Token::issue(None, scopes, Some(description), app.clock.now(), &app.random);
    tokens::create(&app.store, &token).await?;
    println!("{text}");
    Ok(())
}
