//! OAuth 2 access tokens (RFC 6749), requested with client credentials and kept in memory until they expire.
//!
//! All requests for the token of the same credentials wait for one another, so a burst of deliveries requests one token. No
//! request outlives the attempt that it is for, and nothing of a token, a credential or the server's answer is logged.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    credential::Credential,
    delivery::AttemptError,
    digest,
    time::{Clock, Timestamp},
    webhook::options::ClientCredentials,
};
use endpoint::WholeAnswer;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::form_urlencoded;

/// How long before its expiry a token is no longer used, because an attempt takes time and clocks differ.
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);
/// How long a token is kept whose answer does not say when it expires.
const KEPT_WITHOUT_EXPIRY: Duration = Duration::from_secs(5 * 60);
/// The longest that a token is kept, whatever its answer says.
const KEPT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the token of a server that has just refused is not requested again. The deliveries that wait for the token fail
/// together then, and are retried on their schedule.
const REFUSAL_KEPT: Duration = Duration::from_secs(2);
/// The most characters of an access token.
const TOKEN_CHARACTERS_MAX: usize = 8 * 1024;
/// The most credentials whose tokens are kept: 16 MB of the longest tokens.
const KEPT_TOKENS_MAX: usize = 2_000;

/// The access tokens of this process, by the SHA-256 of their credentials.
#[derive(Debug, Default)]
pub struct AccessTokens(Mutex<HashMap<[u8; 32], Arc<Slot>>>);

/// The token of the same credentials. Whoever requests it holds the lock.
type Slot = tokio::sync::Mutex<Option<Kept>>;

/// What the last request for a token came to.
#[derive(Clone, Debug)]
struct Kept {
    /// The token, or `None` if there was none.
    token: Option<Credential>,
    until: Timestamp,
}

/// A token for one request.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    pub(crate) token: Credential,
    /// Whether an earlier attempt requested it. Only then can another token be better.
    pub(crate) is_kept: bool,
}

impl AccessTokens {
    /// Returns the token of `credentials`: the one that is kept, unless it is `refused`, or a new one. The caller bounds the
    /// wait for others, and the request.
    pub(crate) async fn get(
        &self,
        credentials: &ClientCredentials,
        refused: Option<&AccessToken>,
        clock: &Clock,
        request: impl AsyncFnOnce(HeaderMap, String) -> Result<WholeAnswer, AttemptError>,
    ) -> Result<AccessToken, AttemptError> {
        let slot = self.slot(credentials);
        let mut slot = slot.lock().await;
        if let Some(Kept { token, until }) = slot.as_ref()
            && clock.now() < *until
        {
            match token {
                None => return Err(AttemptError::Oauth),
                Some(token) if refused.is_none_or(|refused| refused.token != *token) => {
                    return Ok(AccessToken { token: token.clone(), is_kept: true });
                }
                Some(_) => {}
            }
        }
        let (headers, body) = token_request(credentials);
        let answer = request(headers, body).await;
        if let Err(AttemptError::Timeout) = answer {
            return Err(AttemptError::Timeout);
        }
        let (token, kept_for) = match answer.as_ref().map_err(|error| error.as_str()).and_then(read_answer) {
            Ok(Granted { token, kept_for }) => (Some(token), kept_for),
            Err(why) => {
                tracing::warn!(why, "the OAuth 2 server gave no access token");
                (None, REFUSAL_KEPT)
            }
        };
        *slot = Some(Kept { token: token.clone(), until: clock.now().plus(kept_for) });
        token.map(|token| AccessToken { token, is_kept: false }).ok_or(AttemptError::Oauth)
    }

    /// Returns the slot of `credentials`. If there are too many, those that nobody waits for are forgotten.
    fn slot(&self, credentials: &ClientCredentials) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KEPT_TOKENS_MAX {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(digest_of(credentials)).or_default())
    }
}

fn digest_of(credentials: &ClientCredentials) -> [u8; 32] {
    let ClientCredentials { token_url, client_id, client_secret, scope } = credentials;
    let parts = [token_url.as_str(), client_id, client_secret.expose(), scope.as_deref().unwrap_or_default()];
    digest::of_parts(&parts.map(str::as_bytes))
}

/// Returns the headers and the body of a request for a token. The client authenticates with HTTP Basic, which every server must
/// support (RFC 6749, section 2.3.1); its id and secret are form-encoded first.
fn token_request(credentials: &ClientCredentials) -> (HeaderMap, String) {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let ClientCredentials { client_id, client_secret, scope, .. } = credentials;
    let basic = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(client_secret.expose())));
    let mut basic = HeaderValue::from_str(&format!("Basic {basic}")).expect("base64 is visible ASCII");
    basic.set_sensitive(true);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let json = HeaderValue::from_static("application/json");
    let headers = [(header::AUTHORIZATION, basic), (header::CONTENT_TYPE, form), (header::ACCEPT, json)];
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("grant_type", "client_credentials");
    if let Some(scope) = scope {
        body.append_pair("scope", scope);
    }
    (headers.into_iter().collect(), body.finish())
}

/// A token that a server gave, and how long it is kept.
struct Granted {
    token: Credential,
    kept_for: Duration,
}

/// Reads the answer to a request for a token (RFC 6749, section 5.1).
///
/// # Errors
/// Why there is no usable token, without anything that the server sent.
fn read_answer(answer: &WholeAnswer) -> Result<Granted, &'static str> {
    #[derive(Deserialize)]
    struct Members<'a> {
        access_token: String,
        token_type: Option<String>,
        #[serde(borrow)]
        expires_in: Option<&'a RawValue>,
    }
    if answer.status != 200 {
        return Err("the status code is not 200");
    }
    let read: Members<'_> = serde_json::from_slice(&answer.body).map_err(|_| "the answer is not a token in JSON")?;
    let Members { access_token, token_type, expires_in } = read;
    if !token_type.is_none_or(|name| name.eq_ignore_ascii_case("bearer")) {
        return Err("the token is not a bearer token");
    }
    let is_sendable = access_token.bytes().all(|byte| byte.is_ascii_graphic());
    if access_token.is_empty() || access_token.len() > TOKEN_CHARACTERS_MAX || !is_sendable {
        return Err("the token cannot be sent in a header");
    }
    Ok(Granted { token: access_token.into(), kept_for: kept_for(expires_in.map(RawValue::get)) })
}

/// Returns how long a token is kept whose answer has this `expires_in`, in JSON. Some servers send a string.
fn kept_for(expires_in: Option<&str>) -> Duration {
    let seconds = expires_in.and_then(|text| text.trim_matches('"').parse::<f64>().ok());
    let expires_in = match seconds {
        Some(seconds) if seconds > 0.0 => Duration::try_from_secs_f64(seconds).unwrap_or(KEPT_MAX),
        Some(_) => Duration::ZERO,
        None => KEPT_WITHOUT_EXPIRY,
    };
    expires_in.min(KEPT_MAX).saturating_sub(EXPIRY_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::endpoint_policy::EndpointPolicy;
    use std::cell::Cell;

    fn credentials(secret: &str) -> ClientCredentials {
        ClientCredentials {
            token_url: EndpointPolicy::Strict.judge_url("https://auth.example/token").expect("a URL"),
            client_id: "a client: 1".to_owned(),
            client_secret: secret.to_owned().into(),
            scope: Some("read write".to_owned()),
        }
    }

    fn answer(status: u16, body: &str) -> WholeAnswer {
        WholeAnswer { status, body: body.to_owned().into() }
    }

    /// A server that numbers its tokens.
    struct Server {
        tokens: AccessTokens,
        now_ms: Arc<Mutex<i64>>,
        requests: Cell<u32>,
    }

    impl Server {
        fn new() -> Self {
            Self { tokens: AccessTokens::default(), now_ms: Arc::default(), requests: Cell::new(0) }
        }

        fn pass(&self, time: Duration) {
            *self.now_ms.lock().expect("the clock") += i64::try_from(time.as_millis()).expect("a short time");
        }

        /// Asks for a token of a server that answers with `rest` behind the token.
        async fn token(&self, refused: Option<&AccessToken>, rest: &str) -> Result<AccessToken, AttemptError> {
            let now_ms = Arc::clone(&self.now_ms);
            let clock = Clock::new(move || Timestamp::from_unix_ms(*now_ms.lock().expect("the clock")));
            let request = async |_, _| {
                self.requests.set(self.requests.get() + 1);
                Ok(answer(200, &format!(r#"{{"access_token":"t{}"{rest}}}"#, self.requests.get())))
            };
            self.tokens.get(&credentials("s"), refused, &clock, request).await
        }
    }

    #[test]
    fn the_client_authenticates_with_its_form_encoded_id_and_secret() {
        let (headers, body) = token_request(&credentials("p%s ü"));
        assert_eq!(body, "grant_type=client_credentials&scope=read+write");
        let basic = headers[header::AUTHORIZATION].to_str().expect("ASCII").strip_prefix("Basic ").expect("basic");
        assert_eq!(STANDARD.decode(basic).expect("base64"), b"a+client%3A+1:p%25s+%C3%BC");
        assert!(headers[header::AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused() {
        for (status, body) in [
            (400, r#"{"error":"invalid_client"}"#),
            (201, r#"{"access_token":"t","token_type":"bearer"}"#),
            (302, r#"{"access_token":"t","token_type":"bearer"}"#),
            (200, ""),
            (200, "access_token=t"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":"a b"}"#),
            (200, r#"{"access_token":"a\r\nX: y"}"#),
            (200, r#"{"access_token":7}"#),
            (200, r#"{"access_token":"t","token_type":"mac"}"#),
        ] {
            assert!(read_answer(&answer(status, body)).is_err(), "{status} {body}");
        }
        let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(TOKEN_CHARACTERS_MAX + 1));
        assert!(read_answer(&answer(200, &long)).is_err());
        assert!(read_answer(&answer(200, r#"{"access_token":"t","token_type":"BEARER","x":[]}"#)).is_ok());
    }

    #[test]
    fn a_lie_about_the_expiry_is_bounded() {
        for (expires_in, kept_s) in [
            (None, 270),
            (Some("3600"), 3570),
            (Some("\"3600\""), 3570),
            (Some("60.5"), 30),
            (Some("30"), 0),
            (Some("0"), 0),
            (Some("-1"), 0),
            (Some("-1e300"), 0),
            (Some("1e300"), 86_370),
            (Some("NaN"), 0),
            (Some("\"soon\""), 270),
            (Some("null"), 270),
            (Some("{}"), 270),
        ] {
            assert_eq!(kept_for(expires_in).as_secs(), kept_s, "{expires_in:?}");
        }
    }

    #[tokio::test]
    async fn a_token_is_kept_until_shortly_before_its_expiry() {
        let server = Server::new();
        let first = server.token(None, r#","expires_in":90"#).await.expect("a token");
        assert!(!first.is_kept);
        server.pass(Duration::from_secs(59));
        let second = server.token(None, r#","expires_in":90"#).await.expect("a token");
        assert_eq!((second.token.expose(), second.is_kept), ("t1", true));
        server.pass(Duration::from_secs(1));
        assert_eq!(server.token(None, "").await.expect("a token").token.expose(), "t2");
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_once_for_all_attempts() {
        let server = Server::new();
        server.token(None, "").await.expect("a token");
        let kept = server.token(None, "").await.expect("a token");
        assert_eq!(server.token(Some(&kept), "").await.expect("a token").token.expose(), "t2");
        let another = server.token(Some(&kept), "").await.expect("a token");
        assert_eq!((another.token.expose(), another.is_kept, server.requests.get()), ("t2", true, 2));
    }

    #[tokio::test]
    async fn a_refusal_is_kept_for_a_moment() {
        let server = Server::new();
        for requests in [1, 1] {
            assert_eq!(server.token(None, r#","token_type":"mac""#).await.err(), Some(AttemptError::Oauth));
            assert_eq!(server.requests.get(), requests);
        }
        server.pass(REFUSAL_KEPT);
        assert_eq!(server.token(None, "").await.expect("a token").token.expose(), "t2");
    }

    #[test]
    fn other_credentials_have_their_own_token() {
        assert_ne!(digest_of(&credentials("a")), digest_of(&credentials("b")));
        let shifted = ClientCredentials { client_id: "a client: 1s".to_owned(), ..credentials("") };
        assert_ne!(digest_of(&credentials("s")), digest_of(&shifted), "lengths are part of the digest");
    }
}
