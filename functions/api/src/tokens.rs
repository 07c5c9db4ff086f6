//! `/v1/tokens`: issue, list and revoke account tokens.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Platform,
    body::{Query, SmallBody},
    fields,
    path::{Named, Path},
    problem::Problem,
    state::ApiState,
};
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    account::AccountId,
    id::TokenId,
    input::{self, Faults, Fields, InputError},
    page::Page,
    token::{Scope, Token},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use store::tokens;

/// A token of the API, without its text.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Token))]
pub(crate) struct TokenView {
    /// The token's id, with which it can be revoked.
    id: TokenId,
    /// The account that the token is bound to. `null` for a platform token.
    account: Option<AccountId>,
    /// What the token allows.
    scopes: Vec<Scope>,
    /// What the token is for.
    description: Option<String>,
    /// When the token was issued.
    created_at: String,
}

/// A new token with its text.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct IssuedToken {
    #[serde(flatten)]
    view: TokenView,
    /// The token's text, to be sent as `Authorization: Bearer`. Later answers do not show it.
    token: String,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            account: token.bound_to,
            scopes: token.scopes,
            description: token.description,
            created_at: token.created_at.to_string(),
        }
    }
}

/// A token to issue.
struct NewToken {
    account: Option<AccountId>,
    scopes: Vec<Scope>,
    description: Option<String>,
}

impl NewToken {
    fn read(mut fields: Fields) -> Result<Self, InputError> {
        let account = fields.optional("account", read_account);
        let scopes = fields.optional("scopes", read_scopes);
        let description = fields.optional("description", fields::description);
        fields.finish(|| {
            let scopes = scopes?.unwrap_or_else(|| vec![Scope::Manage, Scope::Publish]);
            Ok(Self { account: account?, scopes, description: description? })
        })
    }
}

/// Issue an account token
///
/// Issues a token that is bound to one account. It works at once. Answers 201 with the token and its text, which is not stored
/// and cannot be shown again. Fails with 400 if neither the body nor `Hookline-Account` names an account.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "createToken",
    tag = "Tokens",
    security(("bearer" = ["platform"])),
    request_body = requests::NewToken,
    responses((status = 201, description = "The token with its text.", body = IssuedToken)),
))]
pub(crate) async fn create(
    Platform(caller): Platform,
    State(state): State<Arc<ApiState>>,
    body: SmallBody,
) -> Result<(StatusCode, Json<IssuedToken>), Problem> {
    let app = &state.app;
    let new = NewToken::read(body.fields()?)?;
    let account = match new.account {
        Some(account) => account,
        None => caller.account()?,
    };
    if account == AccountId::platform() {
        return Err(Problem::malformed(
            "Hookline-Account names the account 'platform', which is for platform tokens only.",
        ));
    }
    let (text, token) = Token::issue(Some(account), new.scopes, new.description, app.clock.now(), &app.random);
    tokens::create(&app.store, &token).await?;
    Ok((StatusCode::CREATED, Json(IssuedToken { view: token.into(), token: text })))
}

/// Reads the account that a token is bound to.
fn read_account(raw: &RawValue) -> Result<AccountId, Faults> {
    let account = AccountId::parse(&input::string(raw)?)?;
    if account == AccountId::platform() {
        return Err("is for platform tokens only".into());
    }
    Ok(account)
}

/// Reads a list of `manage` and `publish`. Only the operator's command can issue platform tokens.
fn read_scopes(raw: &RawValue) -> Result<Vec<Scope>, Faults> {
    let mut scopes = input::array(raw, 2, |raw| match input::string(raw)?.as_str() {
        "manage" => Ok(Scope::Manage),
        "publish" => Ok(Scope::Publish),
        _ => Err("must be 'manage' or 'publish'".into()),
    })?;
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

/// List the tokens, newest first
///
/// Answers 200 with a page of the tokens of all accounts, without their texts. Fails with 422 if `limit` or `cursor` is
/// invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "listTokens",
    tag = "Tokens",
    security(("bearer" = ["platform"])),
    params(requests::Limit, ("cursor" = Option<TokenId>, Query, description = "The `next_cursor` of the page before.")),
    responses((status = 200, description = "A page of tokens.", body = Page<TokenView, TokenId>)),
))]
pub(crate) async fn list(
    Platform(_): Platform,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<TokenView, TokenId>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    query.finish()?;
    let page = tokens::page(&state.app.store, after, limit).await?;
    Ok(Json(page.map(TokenView::from)))
}

/// Revoke a token
///
/// Revokes the token, which stops working within 30 seconds. Answers 204. Fails with 404 if there is no such token.
#[cfg_attr(test, utoipa::path(
    delete,
    path = "/v1/tokens/{id}",
    operation_id = "deleteToken",
    tag = "Tokens",
    security(("bearer" = ["platform"])),
    params(("id" = TokenId, Path, description = "The token's id.")),
    responses((status = 204, description = "The token is revoked.")),
))]
pub(crate) async fn remove(
    Platform(_): Platform,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<TokenId>,
) -> Result<StatusCode, Problem> {
    if tokens::delete(&state.app.store, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found(TokenId::WHAT))
    }
}
