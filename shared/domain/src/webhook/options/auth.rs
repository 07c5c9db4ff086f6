//! How a webhook's deliveries authenticate to the receiver: what `Authorization` carries.

use crate::{credential::Credential, endpoint_policy::EndpointUrl};
use serde::{Deserialize, Serialize};

/// The most characters of a user name or a client id.
pub const USERNAME_MAX: usize = 256;
/// The most characters of a password, a client secret or a scope.
const PASSWORD_MAX: usize = 1024;
/// The most characters of a bearer token.
pub const TOKEN_MAX: usize = 4096;

/// What `Authorization` carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Auth {
    /// A user name and a password (RFC 7617).
    Basic(BasicAuth),
    /// A fixed token (RFC 6750).
    Bearer {
        /// The token.
        token: Credential,
    },
    /// An access token that Hookline gets with client credentials (RFC 6749, section 4.4).
    OAuth2(ClientCredentials),
}

/// A user name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicAuth {
    /// The user name, without a colon.
    pub username: String,
    /// The password.
    pub password: Credential,
}

/// What Hookline needs to get an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCredentials {
    /// Where tokens are requested.
    pub token_url: EndpointUrl,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Credential,
    /// The scope to request, as words separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Reads a user name. It may be empty, because some receivers take a key as the password alone.
///
/// # Errors
/// A phrase for the user.
pub fn parse_username(text: &str) -> Result<String, String> {
    if text.chars().count() > USERNAME_MAX {
        return Err(format!("must have at most {USERNAME_MAX} characters"));
    }
    if has_control(text) || text.contains(':') {
        return Err("must not contain a colon or control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a client id.
///
/// # Errors
/// A phrase for the user.
pub fn parse_client_id(text: &str) -> Result<String, String> {
    if !(1..=USERNAME_MAX).contains(&text.chars().count()) || has_control(text) {
        return Err(format!("must have 1 to {USERNAME_MAX} characters, and no control characters"));
    }
    Ok(text.to_owned())
}

/// Reads a password or a client secret. It may be empty, because some receivers take a key as the user name alone.
///
/// # Errors
/// A phrase for the user, which does not contain the password.
pub fn parse_password(text: &str) -> Result<Credential, String> {
    if text.chars().count() > PASSWORD_MAX || has_control(text) {
        return Err(format!("must have at most {PASSWORD_MAX} characters, and no control characters"));
    }
    Ok(Credential::from(text.to_owned()))
}

/// Reads a bearer token: visible ASCII without spaces.
///
/// # Errors
/// A phrase for the user, which does not contain the token.
pub fn parse_token(text: &str) -> Result<Credential, String> {
    if !(1..=TOKEN_MAX).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("must have 1 to {TOKEN_MAX} visible ASCII characters, without spaces"));
    }
    Ok(Credential::from(text.to_owned()))
}

/// Reads a scope (RFC 6749, section 3.3): words of visible ASCII characters other than `"` and `\`, separated by single spaces.
///
/// # Errors
/// A phrase for the user.
pub fn parse_scope(text: &str) -> Result<String, String> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    if text.len() > PASSWORD_MAX || !text.split(' ').all(is_word) {
        return Err(format!("must be words separated by single spaces, with at most {PASSWORD_MAX} characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_cannot_carry_is_refused() {
        assert!(parse_username("a:b").is_err() && parse_username("a\nb").is_err());
        assert!(parse_username("").is_ok() && parse_username("Ünal").is_ok());
        assert!(parse_client_id("").is_err() && parse_client_id("a:b").is_ok());
        assert!(parse_password("").is_ok() && parse_password("a\0").is_err());
        for wrong in ["", "a b", "a\n", "é", &"x".repeat(4097)] {
            assert!(parse_token(wrong).is_err(), "{wrong}");
        }
        assert!(parse_token("eyJhbGciOi.J9.x-_~+/==").is_ok());
        for wrong in ["", " a", "a  b", "a\"b", "a\\b", "é"] {
            assert!(parse_scope(wrong).is_err(), "{wrong}");
        }
        assert!(parse_scope("read https://api.example.com/.default").is_ok());
    }

    #[test]
    fn debug_shows_no_credential() {
        let auth = Auth::Basic(BasicAuth {
            username: "ada".to_owned(),
            password: parse_password("hunter2").expect("a password"),
        });
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
