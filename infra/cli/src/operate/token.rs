//! Creates a platform token. The API creates account tokens only, so the first token of a stack is created here.

use application::App;
use domain::{
    id::TokenId,
    token::{self, Scope, Token},
};
use store::tokens;

/// Creates a platform token and prints its text. Only its SHA-256 is stored.
pub(crate) async fn create(app: &App, description: String) -> anyhow::Result<()> {
    let (text, now) = (token::generate(&app.random), app.clock.now());
    let token = Token {
        id: TokenId::new(now, &app.random),
        bound_to: None,
        scopes: vec![Scope::Manage, Scope::Publish, Scope::Platform],
        description: Some(description),
        created_at: now,
        hash: token::hash(&text),
        session: None,
    };
    tokens::create(&app.store, &token).await?;
    println!("{text}");
    Ok(())
}
