//! The POST of an attempt, authenticated as the webhook asks.

use crate::{Deliverer, access_tokens::AccessToken};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use domain::{
    delivery::AttemptError,
    webhook::options::{Auth, BasicAuth, ClientCredentials},
};
use endpoint::{Admitted, Answer};
use http::{HeaderMap, HeaderValue, header};
use std::time::Duration;
use tokio::time::Instant;

/// The request of an attempt.
pub(crate) struct Post<'a> {
    /// Returns the headers, signed at this moment, without `Authorization`.
    pub(crate) headers: &'a (dyn Fn() -> HeaderMap + Sync),
    pub(crate) body: Bytes,
    /// The time for all of it, the requests of access tokens included.
    pub(crate) timeout: Duration,
}

/// Makes the POST with the `Authorization` of `auth`.
///
/// An OAuth 2 access token that was kept may have been revoked since: after a 401, another token is requested once, and the POST
/// made again, within the same attempt and timeout.
pub(crate) async fn post(
    deliverer: &Deliverer,
    admitted: &Admitted<'_>,
    auth: Option<&Auth>,
    post: Post<'_>,
) -> Answer {
    let authorization = match auth {
        None => return admitted.post((post.headers)(), post.body, post.timeout).await,
        Some(Auth::Basic(BasicAuth { username, password })) => {
            format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose())))
        }
        Some(Auth::Bearer { token }) => bearer(token.expose()),
        Some(Auth::OAuth2(credentials)) => {
            let until = Instant::now() + post.timeout;
            return WithToken { deliverer, admitted, credentials, post, until }.post().await;
        }
    };
    admitted.post(post.headers_with(&authorization), post.body, post.timeout).await
}

impl Post<'_> {
    /// Returns the headers with `Authorization`, which is base64 or a token: always visible ASCII.
    fn headers_with(&self, authorization: &str) -> HeaderMap {
        let mut headers = (self.headers)();
        let mut value = HeaderValue::from_str(authorization).expect("tokens and base64 are visible ASCII");
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        headers
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// An attempt with an OAuth 2 access token.
struct WithToken<'a> {
    deliverer: &'a Deliverer,
    admitted: &'a Admitted<'a>,
    credentials: &'a ClientCredentials,
    post: Post<'a>,
    /// When the attempt's time is up.
    until: Instant,
}

impl WithToken<'_> {
    async fn post(&self) -> Answer {
        let mut refused: Option<AccessToken> = None;
        loop {
            let token = match self.token(refused.as_ref()).await {
                Ok(token) => token,
                Err(error) => return Answer { error: Some(error), ..Answer::default() },
            };
            let headers = self.post.headers_with(&bearer(token.token.expose()));
            let answer = self.admitted.post(headers, self.post.body.clone(), self.left()).await;
            let may_be_revoked = answer.status == Some(401) && token.is_kept && refused.is_none();
            if !may_be_revoked {
                return answer;
            }
            refused = Some(token);
        }
    }

    /// Returns an access token other than `refused`.
    async fn token(&self, refused: Option<&AccessToken>) -> Result<AccessToken, AttemptError> {
        let token = self.deliverer.access_tokens.get(
            self.credentials,
            refused,
            &self.deliverer.app.clock,
            async |headers, body| {
                self.admitted.post_instead(&self.credentials.token_url, headers, body.into(), self.left()).await
            },
        );
        tokio::time::timeout_at(self.until, token).await.unwrap_or(Err(AttemptError::Timeout))
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}
