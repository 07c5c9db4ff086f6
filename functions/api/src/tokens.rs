//! `/v1/tokens`: the platform issues, lists and revokes account tokens.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::Platform,
    body::{Query, SmallBody},
    page::Page,
    path::Path,
    problem::Problem,
    webhooks::parse_description,
};
use axum::{Json, extract::State, http::StatusCode};
use hookline::{
    id::{AccountId, TokenId},
    input::{self, Faults},
    store::tokens::{self as store, Scope, Token},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A token as the platform sees it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Token))]
pub(crate) struct TokenView {
    id: TokenId,
    account: Option<AccountId>,
    scopes: Vec<Scope>,
    description: Option<String>,
    created_at: String,
}

/// A token with its text, which is shown once.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct IssuedToken {
    #[serde(flatten)]
    view: TokenView,
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

/// Issue an account token
///
/// This answer alone shows the token.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "createToken",
    tag = "Tokens",
    security(("bearer" = ["platform"])),
    request_body = requests::NewToken,
    responses((status = 201, description = "The token, with its text.", body = IssuedToken)),
))]
pub(crate) async fn create(
    Platform(caller): Platform,
    State(state): State<Arc<ApiState>>,
    body: SmallBody,
) -> Result<(StatusCode, Json<IssuedToken>), Problem> {
    let app = &state.app;
    let mut fields = body.fields()?;
    let account = fields.optional("account", |raw| {
        let fault = "must have 1 to 64 letters, digits, '-' and '_'";
        input::string(raw)?.parse::<AccountId>().map_err(|_| fault.into())
    });
    let scopes = fields.optional("scopes", parse_scopes).unwrap_or_else(|| vec![Scope::Manage, Scope::Publish]);
    let description = fields.optional("description", parse_description);
    fields.finish()?;
    let account = match account {
        Some(account) => account,
        None => caller.account()?,
    };
    let (text, now) = (store::generate(&app.random), app.clock.now());
    let token = Token {
        id: TokenId::new(now, &app.random),
        bound_to: Some(account),
        scopes,
        description,
        created_at: now,
        hash: store::hash(&text),
    };
    store::create(app, &token).await?;
    Ok((StatusCode::CREATED, Json(IssuedToken { view: token.into(), token: text })))
}

/// `manage` and `publish`; a platform token is made by the operator's own command.
fn parse_scopes(raw: &RawValue) -> Result<Vec<Scope>, Faults> {
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
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "listTokens",
    tag = "Tokens",
    security(("bearer" = ["platform"])),
    params(requests::Limit, ("cursor" = Option<TokenId>, Query, description = "The `next_cursor` of the page before.")),
    responses((status = 200, description = "A page of tokens.", body = Page<TokenView>)),
))]
pub(crate) async fn list(
    Platform(_): Platform,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<TokenView>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    query.finish()?;
    let (tokens, next) = store::page(&state.app, after, limit).await?;
    Ok(Json(Page::new(tokens.into_iter().map(TokenView::from).collect(), next)))
}

/// Revoke a token
///
/// It stops working within 30 seconds.
#[cfg_attr(test, utoipa::path(
    delete,
    path = "/v1/tokens/{id}",
    operation_id = "deleteToken",
    tag = "Tokens",
    security(("bearer" = ["platform"])),
    params(("id" = TokenId, Path)),
    responses((status = 204, description = "It is revoked.")),
))]
pub(crate) async fn remove(
    Platform(_): Platform,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let no_token = || Problem::not_found("token");
    let id: TokenId = id.parse().map_err(|_| no_token())?;
    if store::delete(&state.app, id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(no_token()) }
}
