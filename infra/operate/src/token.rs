//! A platform token: the API issues account tokens alone, so the first token of a stack is made here.

use hookline::{
    app::App,
    id::TokenId,
    store::tokens::{self, Scope, Token},
};

/// Makes a platform token and prints its text. Only its SHA-256 is stored.
pub(crate) async fn make(app: &App, description: String) -> anyhow::Result<()> {
    let (text, now) = (tokens::generate(&app.random), app.clock.now());
    let token = Token {
        id: TokenId::new(now, &app.random),
        bound_to: None,
        scopes: vec![Scope::Manage, Scope::Publish, Scope::Platform],
        description: Some(description),
        created_at: now,
        hash: tokens::hash(&text),
    };
    tokens::create(app, &token).await?;
    println!("{text}");
    Ok(())
}
