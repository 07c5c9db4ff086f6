//! Which API a command talks to: its URL, token and account.
//!
//! Each comes from an option, else from the environment, else from what `hookline login` stored, else from the local process. A
//! token goes only where it belongs: the stored one to the stored URL, and that of the local process to this machine.

use crate::{login::Login, usage::UsageError};
use domain::account::AccountId;
use http::HeaderValue;
use std::{fmt, fs::File, io::Read, net::IpAddr, path::Path, str::FromStr};
use url::{Host, Url};

/// Where the local process listens unless it is told otherwise.
pub(crate) const LOCAL_URL: &str = "http://127.0.0.1:3000";
/// Where the local process keeps its token unless it is told otherwise.
const LOCAL_TOKEN_FILE: &str = ".hookline/token";
/// The most bytes of a token.
const TOKEN_BYTES_MAX: usize = 256;

/// An API token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// The token itself, for storing it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).expect("a token is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if (8..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("must have 8 to {TOKEN_BYTES_MAX} visible ASCII characters"))
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Reads the URL of an API.
///
/// # Errors
/// A phrase for the user.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL such as https://hooks.example.com: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain credentials: give the token with --token".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end with its host, or with a path".to_owned());
    }
    Ok(url)
}

/// Whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// What was given by options or the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) url: Option<Url>,
    pub(crate) token: Option<Token>,
    pub(crate) account: Option<AccountId>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An option or an environment variable.
    Given,
    /// `hookline login`.
    Login,
    /// The local process, or its default.
    Local,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "given",
            Self::Login => "stored by `hookline login`",
            Self::Local => "of the local process",
        })
    }
}

/// The API that a command talks to.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) url: Url,
    pub(crate) url_source: Source,
    pub(crate) token: Option<Token>,
    pub(crate) token_source: Source,
    pub(crate) account: Option<AccountId>,
}

impl Connection {
    /// Chooses the API. Reads what is stored only where nothing else is given.
    ///
    /// # Errors
    /// What is stored cannot be read.
    pub(crate) fn choose(given: Given) -> anyhow::Result<Self> {
        let login = if given.url.is_some() && given.token.is_some() { None } else { Login::read()? };
        Ok(Self::from(given, login, || local_token(Path::new(LOCAL_TOKEN_FILE)))?)
    }

    fn from(
        given: Given,
        login: Option<Login>,
        local_token: impl FnOnce() -> Result<Option<Token>, UsageError>,
    ) -> Result<Self, UsageError> {
        let (url, url_source) = match (given.url, &login) {
            (Some(url), _) => (url, Source::Given),
            (None, Some(login)) => (login.url.clone(), Source::Login),
            (None, None) => (Url::parse(LOCAL_URL).expect("the default is a URL"), Source::Local),
        };
        let login = login.filter(|login| is_same(&login.url, &url));
        let (token, token_source) = match (given.token, &login) {
            (Some(token), _) => (Some(token), Source::Given),
            (None, Some(login)) => (Some(login.token.clone()), Source::Login),
            (None, None) if is_loopback(&url) => (local_token()?, Source::Local),
            (None, None) => (None, Source::Given),
        };
        // The stored account belongs to the stored token.
        let stored = login.filter(|_| token_source == Source::Login).and_then(|login| login.account);
        Ok(Self { url, url_source, token, token_source, account: given.account.or(stored) })
    }

    /// Whether the API is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }
}

/// Whether two URLs name the same API. A slash at the end makes no difference.
pub(crate) fn is_same(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin() && one.path().trim_end_matches('/') == other.path().trim_end_matches('/')
}

/// The token that the local process keeps in its data folder.
fn local_token(file: &Path) -> Result<Option<Token>, UsageError> {
    let mut text = String::new();
    let Ok(file_content) = File::open(file) else { return Ok(None) };
    let read = file_content.take(TOKEN_BYTES_MAX as u64 + 2).read_to_string(&mut text);
    let token = read.map_err(|error| error.to_string()).and_then(|_| text.trim_end().parse());
    let wrong = |fault| UsageError::new(format!("{} holds no token ({fault}): give one with --token", file.display()));
    token.map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        parse_url(text).expect("a URL")
    }

    fn token(text: &str) -> Token {
        text.parse().expect("a token")
    }

    fn login() -> Login {
        let account = Some("acme".parse().expect("an account"));
        Login { url: url("https://hooks.example.com/v"), token: token("hl_stored"), account }
    }

    /// The URL, the token and the account that are chosen.
    fn chosen(given: Given, login: Option<Login>) -> [Option<String>; 3] {
        let connection = Connection::from(given, login, || Ok(Some(token("hl_local")))).expect("chosen");
        let token = connection.token.map(|token| token.expose().to_owned());
        [Some(connection.url.to_string()), token, connection.account.map(|account| account.to_string())]
    }

    fn expect(chosen: [Option<String>; 3], url: &str, token: Option<&str>, account: Option<&str>) {
        assert_eq!(chosen, [Some(url), token, account].map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn what_is_given_comes_before_what_is_stored_and_that_before_the_local_process() {
        let stored = "https://hooks.example.com/v";
        expect(chosen(Given::default(), None), "http://127.0.0.1:3000/", Some("hl_local"), None);
        expect(chosen(Given::default(), Some(login())), stored, Some("hl_stored"), Some("acme"));
        let other = Given { token: Some(token("hl_given")), ..Given::default() };
        expect(chosen(other, Some(login())), stored, Some("hl_given"), None);
        let account = Given { account: Some("shop".parse().expect("an account")), ..Given::default() };
        expect(chosen(account, Some(login())), stored, Some("hl_stored"), Some("shop"));
    }

    #[test]
    fn a_token_goes_only_where_it_belongs() {
        let at = |text: &str| Given { url: Some(url(text)), ..Given::default() };
        for other in [
            "https://hooks.example.org/v",
            "https://hooks.example.com",
            "http://hooks.example.com/v",
            "https://hooks.example.com:444/v",
        ] {
            let [_, token, account] = chosen(at(other), Some(login()));
            assert_eq!((token, account), (None, None), "{other}");
        }
        expect(
            chosen(at("https://hooks.example.com/v/"), Some(login())),
            "https://hooks.example.com/v/",
            Some("hl_stored"),
            Some("acme"),
        );
        for loopback in ["http://127.0.0.1:4000/", "http://localhost:3000/", "http://[::1]:3000/"] {
            expect(chosen(at(loopback), Some(login())), loopback, Some("hl_local"), None);
        }
    }

    #[test]
    fn wrong_urls_and_tokens_are_refused() {
        for wrong in [
            "hooks.example.com",
            "ftp://example.com",
            "https://a:b@example.com",
            "https://example.com?a",
            "https://",
            "",
        ] {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
        for wrong in ["short", "with space", "with\nnewline", "ümlauts1", &"x".repeat(257)] {
            assert!(wrong.parse::<Token>().is_err(), "{wrong}");
        }
        assert!(!format!("{:?}", token("hl_secret")).contains("secret"));
    }

    #[test]
    fn the_local_token_is_read_from_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        assert_eq!(local_token(&file).expect("no file"), None);
        std::fs::write(&file, "hl_of_local\n").expect("written");
        assert_eq!(local_token(&file).expect("read"), Some(token("hl_of_local")));
        std::fs::write(&file, "\u{1b}[2J").expect("written");
        assert!(local_token(&file).is_err());
    }
}
