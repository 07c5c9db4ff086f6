//! Authentication: the bearer token of a request, its scopes, and the account that the request is about.
//!
//! A handler takes the extractor that it needs: [`Manager`], [`Publisher`], [`Reader`], [`PublishingManager`],
//! [`Platform`], [`LinkMaker`] or [`AnySession`].

use crate::{problem::Problem, session, state::ApiState};
use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderValue,
        header::{self, AsHeaderName},
        request::Parts,
    },
};
use domain::{
    account::AccountId,
    id::TokenId,
    portal::Session,
    token::{Scope, Token},
};
use std::sync::Arc;

/// The header that names the account. A platform token needs it.
pub(crate) const ACCOUNT_HEADER: &str = "hookline-account";

/// The sender of a request with a valid token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    token: Arc<Token>,
    /// The account in `Hookline-Account`.
    named_account: Option<AccountId>,
}

impl Caller {
    /// Returns the session of the portal that the token is of.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.token.session.as_ref()
    }

    /// Whether the token allows `scope`. The scope `platform` allows everything.
    fn has(&self, scope: Scope) -> bool {
        self.token.scopes.contains(&scope) || self.token.scopes.contains(&Scope::Platform)
    }

    /// Returns the account that the request is about.
    ///
    /// # Errors
    /// 403 if an account token names another account, or the account is `platform` and the token no platform token. 400 if a platform
    /// token names none.
    pub(crate) fn account(&self) -> Result<AccountId, Problem> {
        let account = self.any_account()?;
        tracing::Span::current().record("account", account.as_str());
        if account == AccountId::platform() && !self.has(Scope::Platform) {
            return Err(Problem::forbidden("Only a platform token may use the account 'platform'."));
        }
        Ok(account)
    }

    fn any_account(&self) -> Result<AccountId, Problem> {
        match (&self.token.bound_to, &self.named_account) {
            (Some(bound), Some(named)) if bound != named && !self.has(Scope::Platform) => {
                Err(Problem::forbidden("The token is bound to a different account than the one in Hookline-Account."))
            }
            (_, Some(named)) => Ok(named.clone()),
            (Some(bound), None) => Ok(bound.clone()),
            (None, None) => {
                Err(Problem::malformed("A platform token must name the account in the header Hookline-Account."))
            }
        }
    }

    /// Returns a 403 that shows `name` if the token lacks `scope`.
    fn require(&self, scope: Scope, name: &str) -> Result<(), Problem> {
        self.require_all(&[(scope, name)])
    }

    /// Returns a 403 that shows the name of each scope that the token lacks.
    fn require_all(&self, scopes: &[(Scope, &str)]) -> Result<(), Problem> {
        let lacking: Vec<_> =
            scopes.iter().filter(|(scope, _)| !self.has(*scope)).map(|(_, name)| format!("'{name}'")).collect();
        match lacking.as_slice() {
            [] => Ok(()),
            [one] => Err(Problem::forbidden(format!("The token lacks the scope {one}."))),
            several => Err(Problem::forbidden(format!("The token lacks the scopes {}.", several.join(" and ")))),
        }
    }
}

/// The account of a caller with the scope `manage`, who may manage its webhooks and deliveries.
pub(crate) struct Manager(pub(crate) AccountId);
/// The account of a caller with the scope `publish`, who may publish its events.
pub(crate) struct Publisher(pub(crate) AccountId);
/// The account of a caller with the scope `manage` or `publish`, who may read its events.
pub(crate) struct Reader(pub(crate) AccountId);
/// The account of a caller with the scopes `publish` and `manage`, who may see which webhooks its events would reach.
pub(crate) struct PublishingManager(pub(crate) AccountId);
/// A caller with the scope `platform`.
pub(crate) struct Platform(pub(crate) Caller);
/// The account of a caller with the scope `manage` who may make links to the portal, whether it may publish too, and its token.
pub(crate) struct LinkMaker {
    pub(crate) account: AccountId,
    pub(crate) publishes: bool,
    pub(crate) token: TokenId,
}

/// A session of the portal, by the SHA-256 of its token.
pub(crate) struct AnySession {
    pub(crate) token_hash: String,
}

/// Authenticates a request, once for all extractors.
///
/// # Errors
/// 401 without a known bearer token. 403 or 404 if the token is of a session of the portal that may not make the request. 400 if
/// `Hookline-Account` is malformed or sent twice.
pub(crate) async fn caller(parts: &mut Parts, state: &ApiState) -> Result<Caller, Problem> {
    if let Some(caller) = parts.extensions.get::<Caller>() {
        return Ok(caller.clone());
    }
    let caller = authenticated(parts, state).await?;
    parts.extensions.insert(caller.clone());
    Ok(caller)
}

async fn authenticated(parts: &Parts, state: &ApiState) -> Result<Caller, Problem> {
    let authorization = single(&parts.headers, header::AUTHORIZATION).map_err(|()| Problem::unauthorized())?;
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let (scheme, token) = authorization.and_then(|value| value.split_once(' ')).ok_or_else(Problem::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthorized());
    }
    let token = state.tokens.find(&state.app, token.trim()).await?.ok_or_else(Problem::unauthorized)?;
    if let Some(session) = &token.session {
        session::judge(session, parts)?;
    }
    Ok(Caller { token, named_account: named_account(&parts.headers)? })
}

/// Reads the account in `Hookline-Account`.
///
/// # Errors
/// 400 if it is malformed or sent twice.
fn named_account(headers: &HeaderMap) -> Result<Option<AccountId>, Problem> {
    let name = single(headers, ACCOUNT_HEADER).map_err(|()| Problem::malformed("Hookline-Account is sent twice."))?;
    let parse = |name: &HeaderValue| {
        let account = AccountId::parse(&String::from_utf8_lossy(name.as_bytes()));
        account.map_err(|fault| Problem::malformed(&format!("Hookline-Account {fault}.")))
    };
    name.map(parse).transpose()
}

/// Returns the value of a header, or `None` if the request does not have it. A header that comes twice is an error: a proxy in
/// front of the API may have used the other value.
pub(crate) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_none() { Ok(first) } else { Err(()) }
}

/// Implements the extractor `$name`: authenticates the request, then makes the extractor of the caller.
macro_rules! from_request {
    ($name:ident, |$caller:ident| $take:expr) => {
        impl FromRequestParts<Arc<ApiState>> for $name {
            type Rejection = Problem;
            async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, Problem> {
                let $caller = caller(parts, state).await?;
                $take
            }
        }
    };
}

from_request!(Manager, |caller| {
    caller.require(Scope::Manage, "manage")?;
    Ok(Self(caller.account()?))
});
from_request!(Publisher, |caller| {
    caller.require(Scope::Publish, "publish")?;
    Ok(Self(caller.account()?))
});
from_request!(Reader, |caller| {
    if !caller.has(Scope::Publish) {
        caller.require(Scope::Manage, "manage")?;
    }
    Ok(Self(caller.account()?))
});
from_request!(PublishingManager, |caller| {
    caller.require_all(&[(Scope::Publish, "publish"), (Scope::Manage, "manage")])?;
    Ok(Self(caller.account()?))
});
from_request!(Platform, |caller| {
    caller.require(Scope::Platform, "platform")?;
    Ok(Self(caller))
});
from_request!(LinkMaker, |caller| {
    if caller.session().is_some() {
        return Err(Problem::forbidden("A portal session cannot make links."));
    }
    caller.require(Scope::Manage, "manage")?;
    let account = caller.account()?;
    if account == AccountId::platform() {
        return Err(Problem::forbidden(
            "There is no portal for the account 'platform', which only platform tokens may use.",
        ));
    }
    Ok(Self { account, publishes: caller.has(Scope::Publish), token: caller.token.id })
});
from_request!(AnySession, |caller| {
    match caller.session() {
        Some(_) => Ok(Self { token_hash: caller.token.hash.clone() }),
        None => Err(Problem::forbidden("The token does not belong to a portal session.")),
    }
});
