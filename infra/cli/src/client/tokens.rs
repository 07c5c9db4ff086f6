//! Account tokens.

use super::{
    Answer, Client, Error,
    call::Call,
    operation,
    page::{Page, Wanted},
};
use domain::{account::AccountId, id::TokenId};
use serde::{Deserialize, Serialize};

/// A token, without its text.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) account: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) created_at: String,
}

/// A new token with its text.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IssuedToken {
    pub(crate) id: String,
    pub(crate) account: Option<String>,
    /// Shown this once.
    pub(crate) token: String,
}

/// A token to issue.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewToken {
    /// The default is the account that the request is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
}

impl Client {
    /// Lists tokens, newest first.
    pub(crate) async fn list_tokens(&self, page: &Wanted) -> Result<Answer<Page<Token>>, Error> {
        self.call(Call::new(operation::LIST_TOKENS).page(page)).await
    }

    /// Issues a token.
    pub(crate) async fn create_token(&self, body: &NewToken) -> Result<Answer<IssuedToken>, Error> {
        self.call(Call::new(operation::CREATE_TOKEN).body(body)).await
    }

    /// Revokes a token.
    pub(crate) async fn delete_token(&self, id: TokenId) -> Result<Answer<()>, Error> {
        self.call(Call::new(operation::DELETE_TOKEN).id(id)).await
    }
}
