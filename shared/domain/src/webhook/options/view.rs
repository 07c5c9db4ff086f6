//! The options as users see them. No answer shows a credential.

use super::{Auth, BasicAuth, ClientCredentials, Options, SignatureHeader, StaticHeader};
use crate::credential::HIDDEN;
use serde::Serialize;
use std::collections::BTreeMap;

/// The authentication of a webhook's deliveries.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Auth))]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum AuthView {
    /// A user name and a password.
    #[cfg_attr(feature = "openapi", schema(title = "BasicAuth"))]
    Basic {
        /// The user name.
        username: String,
        /// Always `***`.
        password: &'static str,
    },
    /// A fixed token.
    #[cfg_attr(feature = "openapi", schema(title = "BearerAuth"))]
    Bearer {
        /// Always `***`.
        token: &'static str,
    },
    /// An access token that Hookline requests with client credentials.
    #[cfg_attr(feature = "openapi", schema(title = "OAuth2Auth"))]
    OAuth2 {
        /// Where tokens are requested.
        token_url: String,
        /// The client's id.
        client_id: String,
        /// Always `***`.
        client_secret: &'static str,
        /// The scope that is requested, or `null`.
        scope: Option<String>,
    },
}

/// A further signature that deliveries carry.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SignatureHeader))]
pub struct SignatureHeaderView {
    /// The header's name.
    pub name: String,
    /// The signed text, made of `{id}`, `{timestamp}` and `{body}`.
    pub content: String,
    /// The header's value, made of `{hex}`, `{base64}` and `{timestamp}`.
    pub value: String,
}

impl From<&Auth> for AuthView {
    fn from(auth: &Auth) -> Self {
        match auth {
            Auth::Basic(BasicAuth { username, .. }) => Self::Basic { username: username.clone(), password: HIDDEN },
            Auth::Bearer { .. } => Self::Bearer { token: HIDDEN },
            Auth::OAuth2(ClientCredentials { token_url, client_id, scope, .. }) => Self::OAuth2 {
                token_url: token_url.to_string(),
                client_id: client_id.clone(),
                client_secret: HIDDEN,
                scope: scope.clone(),
            },
        }
    }
}

impl From<&SignatureHeader> for SignatureHeaderView {
    fn from(header: &SignatureHeader) -> Self {
        Self {
            name: header.name.to_string(),
            content: header.content.as_str().to_owned(),
            value: header.value.as_str().to_owned(),
        }
    }
}

impl Options {
    /// Returns the names of the static headers, each with `***`, or `None` if there are none.
    pub(in crate::webhook) fn headers_shown(&self) -> Option<BTreeMap<String, &'static str>> {
        let shown = |header: &StaticHeader| (header.name.to_string(), HIDDEN);
        (!self.headers.is_empty()).then(|| self.headers.iter().map(shown).collect())
    }

    /// Returns the waits of the webhook's own retry schedule, or `None` if it has none.
    pub(in crate::webhook) fn schedule_shown(&self) -> Option<Vec<String>> {
        self.retry_schedule.as_ref().map(|schedule| schedule.waits().map(str::to_owned).collect())
    }
}
