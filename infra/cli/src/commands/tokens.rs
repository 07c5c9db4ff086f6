//! `hookline tokens`.

use super::{
    Session,
    listing::{self, PageOptions},
};
use crate::{
    client::tokens::{IssuedToken, NewToken, Token},
    output::{
        moment::relative,
        table::{Cell, Column},
        text::visible,
    },
};
use clap::Subcommand;
use domain::id::TokenId;
use std::process::ExitCode;

/// A command on account tokens. It needs a token with the scope `platform`.
#[derive(Debug, Subcommand)]
pub(crate) enum Tokens {
    /// List the tokens of all accounts, newest first.
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Issue a token for the account that --account names. Prints it, this once.
    Create {
        /// What it allows: manage, publish, or both, which is the default.
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = ["manage", "publish"])]
        scopes: Vec<String>,
        /// What it is for.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Revoke a token.
    Delete {
        /// The token's id, tok_…. It is not the token itself.
        id: TokenId,
    },
}

const COLUMNS: &[Column] = &[
    Column::whole("ID"),
    Column::whole("ACCOUNT"),
    Column::whole("SCOPES"),
    Column::flexible("DESCRIPTION"),
    Column::whole("CREATED"),
];

impl Tokens {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Session { client, connection, out, .. } = session;
        match self {
            Self::List { page } => {
                let fetch = async |wanted| client.list_tokens(&wanted).await;
                return listing::print(*out, &page, (COLUMNS, row), fetch).await;
            }
            Self::Create { scopes, description } => {
                let (account, scopes) = (connection.account.clone(), (!scopes.is_empty()).then_some(scopes));
                let answer = client.create_token(&NewToken { account, scopes, description }).await?;
                // Nothing else is on stdout, so that a script can keep it.
                out.answer(&answer, |out, issued| out.line(&visible(&issued.token)))?;
                let IssuedToken { id, account, .. } = &answer.value;
                let account = account.as_deref().unwrap_or("no account");
                eprintln!("Issued {} for {}. Keep the token: it is not shown again.", visible(id), visible(account));
            }
            Self::Delete { id } => {
                let answer = client.delete_token(id).await?;
                out.answer(&answer, |out, ()| out.line(&format!("revoked {id}")))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(token: &Token) -> Vec<Cell> {
    vec![
        Cell::new(&token.id),
        Cell::optional(token.account.as_deref()),
        Cell::new(&visible(&token.scopes.join(", "))),
        Cell::optional(token.description.as_deref()),
        Cell::new(&relative(&token.created_at)),
    ]
}
