//! The origins whose web pages may call the API from a browser.

use std::str::FromStr;
use url::{Position, Url};

/// Whose web pages may call the API from a browser: no other origin's by default, any (`*`), or those of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// The pages of any origin.
    Any,
    /// The pages of these origins, each as a browser writes it: `https://app.example.com`.
    Listed(Vec<String>),
}

impl AllowedOrigins {
    /// No origin.
    pub const NONE: Self = Self::Listed(Vec::new());
}

impl Default for AllowedOrigins {
    fn default() -> Self {
        Self::NONE
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    /// Reads `*`, or origins separated by commas. The empty text has none.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(origin).collect::<Result<_, _>>().map(Self::Listed)
    }
}

/// Reads one origin, and returns it as browsers write it, because the two are compared as texts: in lower case, without the
/// default port and without a slash at the end.
fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && !text.contains('*'));
    let url = url.filter(|url| {
        url[Position::BeforePath..] == *"/" && url[Position::AfterScheme..Position::BeforeHost] == *"://"
    });
    url.map(|url| url.origin().ascii_serialization())
        .ok_or_else(|| "must be *, or origins such as https://app.example.com, separated by commas".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let listed = |origins: &[&str]| AllowedOrigins::Listed(origins.iter().map(ToString::to_string).collect());
        assert_eq!("".parse(), Ok(AllowedOrigins::NONE));
        assert_eq!("*".parse(), Ok(AllowedOrigins::Any));
        let two = ["https://app.example.com", "http://localhost:5173"];
        assert_eq!("https://app.example.com, http://localhost:5173".parse(), Ok(listed(&two)));
        for text in ["https://app.example.com/", "https://App.example.com", "https://app.example.com:443"] {
            assert_eq!(text.parse(), Ok(listed(&["https://app.example.com"])), "{text}");
        }
        for wrong in [
            "app.example.com",
            "null",
            "file:///",
            "https://*.example.com",
            "*,https://app.example.com",
            "https://app.example.com/path",
            "https://app.example.com?query",
            "https://user@app.example.com",
        ] {
            assert!(wrong.parse::<AllowedOrigins>().is_err(), "{wrong}");
        }
    }
}
