//! Who calls: bearer tokens, their scopes, and the account that a request is about.

use crate::{ApiState, problem::Problem};
use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderValue,
        header::{self, AsHeaderName},
        request::Parts,
    },
};
use hookline::{
    app::App,
    id::AccountId,
    store::{
        StoreError,
        tokens::{self, Scope, Token},
    },
    time::Timestamp,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long a token that was found is believed without asking again: a revocation is honoured within it.
const CACHED: Duration = Duration::from_secs(30);
/// Tokens kept at once.
const CACHE_MAX: usize = 10_000;
/// The header in which a platform token names the account.
const ACCOUNT_HEADER: &str = "hookline-account";

/// Tokens found lately, by hash. A token that was not found is asked for every time, so a new one works at once.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(Mutex<HashMap<String, (Arc<Token>, Timestamp)>>);

impl TokenCache {
    async fn find(&self, app: &App, token: &str) -> Result<Option<Arc<Token>>, StoreError> {
        let (hash, now) = (tokens::hash(token), app.clock.now());
        if let Some((token, until)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&hash)
            && now < *until
        {
            return Ok(Some(token.clone()));
        }
        let found = tokens::find(app, &hash).await?.map(Arc::new);
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(token) => {
                if cache.len() >= CACHE_MAX {
                    cache.clear();
                }
                cache.insert(hash, (token.clone(), now.plus(CACHED)));
            }
            None => {
                cache.remove(&hash);
            }
        }
        Ok(found)
    }
}

/// Somebody with a valid token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    token: Arc<Token>,
    named_account: Option<AccountId>,
}

impl Caller {
    fn has(&self, scope: Scope) -> bool {
        self.token.scopes.contains(&scope) || self.token.scopes.contains(&Scope::Platform)
    }

    /// The account that the request is about.
    pub(crate) fn account(&self) -> Result<AccountId, Problem> {
        match (&self.token.bound_to, &self.named_account) {
            (Some(bound), Some(named)) if bound != named && !self.has(Scope::Platform) => {
                Err(Problem::forbidden("The token is bound to another account than Hookline-Account names."))
            }
            (_, Some(named)) => Ok(named.clone()),
            (Some(bound), None) => Ok(bound.clone()),
            (None, None) => {
                Err(Problem::malformed("A platform token names the account in the header Hookline-Account."))
            }
        }
    }

    fn require(&self, scope: Scope, name: &str) -> Result<(), Problem> {
        if self.has(scope) { Ok(()) } else { Err(Problem::forbidden(format!("The token lacks the scope '{name}'."))) }
    }
}

/// A caller who may manage an account's webhooks and deliveries.
pub(crate) struct Manager(pub(crate) AccountId);
/// A caller who may publish an account's events.
pub(crate) struct Publisher(pub(crate) AccountId);
/// A caller who may read an account's events: either scope will do.
pub(crate) struct Reader(pub(crate) AccountId);
/// The platform.
pub(crate) struct Platform(pub(crate) Caller);

async fn caller(parts: &Parts, state: &ApiState) -> Result<Caller, Problem> {
    let authorization = single(&parts.headers, header::AUTHORIZATION).map_err(|()| Problem::unauthorized())?;
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let (scheme, token) = authorization.and_then(|value| value.split_once(' ')).ok_or_else(Problem::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthorized());
    }
    let token = state.tokens.find(&state.app, token.trim()).await?.ok_or_else(Problem::unauthorized)?;
    let no_account = || Problem::malformed("Hookline-Account must have 1 to 64 letters, digits, '-' and '_', once.");
    let named_account = match single(&parts.headers, ACCOUNT_HEADER).map_err(|()| no_account())? {
        None => None,
        Some(name) => Some(name.to_str().ok().and_then(|name| name.parse().ok()).ok_or_else(no_account)?),
    };
    Ok(Caller { token, named_account })
}

/// The value of a header that may come once. Where it comes twice, whoever stands before us may have believed the other one.
pub(crate) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_none() { Ok(first) } else { Err(()) }
}

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
from_request!(Platform, |caller| {
    caller.require(Scope::Platform, "platform")?;
    Ok(Self(caller))
});
