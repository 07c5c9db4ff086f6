//! `POST /v1/portal-links`: makes links to the portal.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::{LinkMaker, single},
    body::SmallBody,
    path::Named,
    problem::Problem,
    state::ApiState,
    webhooks::find,
};
use application::portal::{self, NewLink};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
};
use domain::{
    id::WebhookId,
    input::{self, Faults, Fields, InputError},
    portal::{SESSION_DEFAULT, SESSION_MAX},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// A link to the portal.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PortalLink {
    /// The link. Its fragment has the code, which begins one session. A browser does not send a fragment to the server, nor to other
    /// sites.
    url: String,
    /// When the link stops working: five minutes after it was made.
    expires_at: String,
}

/// Make a link to the portal
///
/// Makes a link to the web page on which an account's developers see, try and mend its webhooks. The link begins one session, within
/// five minutes. Give it to a person who is signed in to your own product. Answers 201 with the link. The body may be left out. Fails
/// with 403 for the token of a session, with 404 if the account has no such webhook, and with 422 if the body breaks rules.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/portal-links",
    operation_id = "createPortalLink",
    tag = "Portal",
    security(("bearer" = ["manage"])),
    request_body = Option<requests::NewPortalLink>,
    responses((status = 201, description = "The link.", body = PortalLink), (status = 404, description = "")),
))]
pub(crate) async fn create(
    LinkMaker { account, publishes, token }: LinkMaker,
    State(state): State<Arc<ApiState>>,
    uri: Uri,
    headers: HeaderMap,
    body: SmallBody,
) -> Result<(StatusCode, Json<PortalLink>), Problem> {
    let app = &state.app;
    let origin = origin(&uri, &headers)?;
    let (mut new, webhook) = read_new(body.fields_if_any()?)?;
    if let Some(text) = webhook {
        let id = text.parse().map_err(|_| Problem::not_found(WebhookId::WHAT))?;
        new.webhook = Some(find(app, &account, id).await?.id);
    }
    new.publish &= publishes;
    tracing::info!(%account, token_id = %token, read_only = new.read_only, publish = new.publish, webhook_id = new.webhook.map(tracing::field::display), "portal link made");
    let made = portal::make_link(app, account, new).await?;
    let url = format!("{origin}/portal#code={}", made.code);
    Ok((StatusCode::CREATED, Json(PortalLink { url, expires_at: made.until.to_string() })))
}

/// Reads `{read_only?, publish?, webhook_id?, session_seconds?}`. Returns the link, and the text of the webhook's id.
fn read_new(mut fields: Fields) -> Result<(NewLink, Option<String>), InputError> {
    let read_only = fields.optional("read_only", input::boolean);
    let publish = fields.optional("publish", input::boolean);
    let webhook = fields.optional("webhook_id", input::string);
    let session = fields.optional("session_seconds", session_length);
    fields.finish(|| {
        let new = NewLink {
            read_only: read_only?.unwrap_or_default(),
            publish: publish?.unwrap_or_default(),
            webhook: None,
            session: session?.unwrap_or(SESSION_DEFAULT),
        };
        Ok((new, webhook?))
    })
}

fn session_length(raw: &RawValue) -> Result<Duration, Faults> {
    let seconds = u64::try_from(input::integer(raw)?).unwrap_or_default();
    let max = SESSION_MAX.as_secs();
    if (1..=max).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(format!("must be a whole number from 1 to {max}").into())
    }
}

/// Returns the origin that the caller has reached the API at, to which the link leads.
///
/// # Errors
/// 400 if the request names no host, or several hosts or schemes.
fn origin(uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
    let no_host = || Problem::malformed("The request names no host, or several.");
    let of_header = single(headers, header::HOST).map_err(|()| no_host())?.and_then(|host| host.to_str().ok());
    let host = of_header.or_else(|| uri.authority().map(Authority::as_str)).ok_or_else(no_host)?;
    let several = || Problem::malformed("X-Forwarded-Proto is sent twice.");
    let forwarded =
        single(headers, "x-forwarded-proto").map_err(|()| several())?.and_then(|schemes| schemes.to_str().ok());
    // Each proxy appends the scheme that it was reached by.
    let outermost = forwarded.and_then(|schemes| schemes.split(',').next()).map(str::trim);
    let scheme = match uri.scheme_str().or(outermost) {
        Some("https") => "https",
        _ => "http",
    };
    Ok(format!("{scheme}://{host}"))
}
