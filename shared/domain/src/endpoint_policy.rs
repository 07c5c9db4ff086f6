//! The endpoint policy: which URLs a webhook may have, and which IP addresses a delivery may be sent to. A URL is checked here
//! without resolving its host. The addresses of a host name are checked at every connection, in the crate `endpoint`.

use crate::address;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, net::IpAddr};
use url::{Host, ParseError, Url};

/// The longest URL, in characters.
const MAX_URL_CHARACTERS: usize = 2048;

/// Domains that contain no public name: `localhost` and `local` by RFC 6761 and 6762, `internal` by ICANN's reservation (cloud
/// providers use it for metadata services and private DNS), `home.arpa` by RFC 8375.
const PRIVATE_SUFFIXES: [&str; 5] = ["localhost", "localdomain", "local", "internal", "home.arpa"];

/// Which endpoints are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointPolicy {
    /// `https` and public addresses only. Every deployment uses this.
    Strict,
    /// Also `http` and loopback addresses, but no other private address. For a developer's machine.
    AllowLoopback,
    /// Like [`AllowLoopback`](Self::AllowLoopback), except for this port. For Lambda, whose runtime API listens on the port
    /// at a loopback address. A request to it could take the function's events and answer them.
    AllowLoopbackExcept(u16),
}

impl EndpointPolicy {
    /// Checks a URL without resolving its host name, whose addresses are checked at every connection.
    ///
    /// # Errors
    /// All faults at once, each a phrase for the user that continues "the URL", such as "must use https".
    pub fn judge_url(self, text: &str) -> Result<EndpointUrl, Vec<String>> {
        let mut faults = text_faults(text);
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                faults.push(parse_fault(error).to_owned());
                return Err(faults);
            }
        };
        faults.extend(self.url_faults(&url));
        // The crates `url` and `http` disagree on a few characters in names. A URL must be valid for both, or it cannot be
        // sent.
        if faults.is_empty() && url.as_str().parse::<http::Uri>().is_err() {
            faults.push("must be valid in an HTTP request".to_owned());
        }
        if faults.is_empty() { Ok(EndpointUrl { text: text.to_owned(), url }) } else { Err(faults) }
    }

    /// Returns the policy on addresses for connections to `port`: [`Strict`](Self::Strict) for the port of the runtime API.
    #[must_use]
    pub fn at_port(self, port: Option<u16>) -> Self {
        match self {
            Self::AllowLoopbackExcept(forbidden) if port == Some(forbidden) => Self::Strict,
            Self::AllowLoopbackExcept(_) => Self::AllowLoopback,
            Self::Strict | Self::AllowLoopback => self,
        }
    }

    /// Whether connections to `ip` are allowed on every port.
    pub fn allows(self, ip: IpAddr) -> bool {
        self.refusal(ip).is_none()
    }

    /// Returns why `ip` is refused, as a noun phrase, or `None` if it is allowed on every port.
    pub fn refusal(self, ip: IpAddr) -> Option<&'static str> {
        match self {
            Self::AllowLoopback if ip.is_loopback() => None,
            Self::Strict | Self::AllowLoopback | Self::AllowLoopbackExcept(_) => address::refusal(ip),
        }
    }

    fn url_faults(self, url: &Url) -> Vec<String> {
        let mut faults = Vec::new();
        let is_http = url.scheme() == "http";
        match self {
            _ if url.scheme() == "https" => {}
            Self::Strict => faults.push("must use https".to_owned()),
            _ if is_http => {}
            Self::AllowLoopback | Self::AllowLoopbackExcept(_) => faults.push("must use https or http".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            faults.push("must not carry a user name or a password".to_owned());
        }
        if url.fragment().is_some() {
            faults.push("must not have a fragment (#)".to_owned());
        }
        if url.port() == Some(0) {
            faults.push("must not use port 0".to_owned());
        }
        let on_host = self.at_port(url.port_or_known_default());
        match url.host() {
            None => faults.push("must name a host".to_owned()),
            Some(Host::Domain(name)) => faults.extend(on_host.name_fault(name)),
            Some(Host::Ipv4(ip)) => faults.extend(on_host.address_fault(IpAddr::V4(ip))),
            Some(Host::Ipv6(ip)) => faults.extend(on_host.address_fault(IpAddr::V6(ip))),
        }
        faults
    }

    fn address_fault(self, ip: IpAddr) -> Option<String> {
        self.refusal(ip).map(|why| format!("must not point to {ip}: {why}"))
    }

    fn name_fault(self, name: &str) -> Option<String> {
        // A dot at the end only marks the name as complete.
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name.is_empty() {
            return Some("must name a host".to_owned());
        }
        // With schemes other than http and https, the parser leaves an address as text.
        if let Ok(ip) = name.parse() {
            return self.address_fault(ip);
        }
        if name.split('.').any(str::is_empty) {
            return Some("must name a valid host".to_owned());
        }
        if self == Self::AllowLoopback {
            return None;
        }
        let is_under =
            |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if let Some(suffix) = PRIVATE_SUFFIXES.into_iter().find(|suffix| is_under(suffix)) {
            return Some(format!("must name a public host: names under \"{suffix}\" are private"));
        }
        (!name.contains('.')).then(|| "must name a public host, such as example.com".to_owned())
    }
}

/// Returns the faults of the text that the parser would silently repair.
fn text_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.chars().nth(MAX_URL_CHARACTERS).is_some() {
        faults.push("must be at most 2,048 characters".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        faults.push("must not contain spaces or control characters".to_owned());
    }
    // Parsers disagree on `https:\\a`, `https:a` and `https:///a`. Such disagreements let a URL bypass a check.
    let after_scheme = text.split_once(':').map_or(text, |(_, rest)| rest);
    let has_plain_authority = after_scheme.strip_prefix("//").is_none_or(|rest| !rest.starts_with('/'));
    if text.contains('\\') || !has_plain_authority || (Url::parse(text).is_ok() && !after_scheme.starts_with("//")) {
        faults.push("must be written as https://host/path".to_owned());
    }
    faults
}

fn parse_fault(error: ParseError) -> &'static str {
    match error {
        ParseError::EmptyHost => "must name a host",
        ParseError::InvalidPort => "must have a port from 1 to 65535",
        ParseError::IdnaError
        | ParseError::InvalidDomainCharacter
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address => "must name a valid host",
        _ => "must be an absolute URL such as https://example.com/webhooks",
    }
}

/// A webhook's URL. A policy has checked it, now or before it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl {
    /// The URL as the user wrote it, to show it.
    text: String,
    /// The parsed URL, to send requests to it.
    url: Url,
}

/// A stored URL cannot be parsed. This does not happen with a URL that [`EndpointPolicy::judge_url`] has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored endpoint URL cannot be parsed: {0}")]
pub struct UnreadableUrl(#[from] ParseError);

impl EndpointUrl {
    /// Parses a stored URL without checking it again. The policy checked it before it was stored, and checks its addresses at
    /// every connection.
    ///
    /// # Errors
    /// The text is not a URL.
    pub fn stored(text: impl Into<String>) -> Result<Self, UnreadableUrl> {
        let text = text.into();
        let url = Url::parse(&text)?;
        Ok(Self { text, url })
    }

    /// Returns the URL as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parsed URL, to which requests are sent.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    /// Returns the port of the URL, or else the default port of its scheme.
    pub fn port(&self) -> Option<u16> {
        self.url.port_or_known_default()
    }

    /// Returns `host:port`. Concurrent requests are counted by it.
    pub fn target(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap_or_default(), self.port().unwrap_or_default())
    }

    /// Returns the host if it is an IP address, which is connected to without a DNS lookup.
    pub fn literal_address(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            // The parser never leaves an address here. The HTTP client would still connect to a name that parses as one.
            Host::Domain(name) => name.parse().ok(),
        }
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Writes the URL as the user wrote it.
impl Serialize for EndpointUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Reads a stored URL, as [`EndpointUrl::stored`] does. A user's URL is read by [`EndpointPolicy::judge_url`].
impl<'de> Deserialize<'de> for EndpointUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::stored(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EndpointPolicy::{AllowLoopback, Strict};

    fn faults(policy: EndpointPolicy, text: &str) -> Vec<String> {
        policy.judge_url(text).err().unwrap_or_default()
    }

    #[test]
    fn public_https_urls_are_accepted_and_shown_as_written() {
        for text in [
            "https://example.com",
            "https://example.com/webhooks?a=b&c=%20",
            "https://EXAMPLE.com:8443/x",
            "HTTPS://example.com/",
            "https://example.com./",
            "https://hooks.example.co.uk/~a/b;c=d",
            "https://8.8.8.8/hook",
            "https://[2606:4700:4700::1111]:443/hook",
            "https://bücher.example/",
            "https://local.example.com/",
            "https://localhost.example.com/",
            "https://127.0.0.1.example.com/",
            "https://internal-tools.example.com/a|b",
            "https://foo_bar.example.com/",
        ] {
            for policy in [Strict, AllowLoopback] {
                let url = policy.judge_url(text).expect(text);
                assert_eq!((url.as_str(), url.to_string().as_str()), (text, text));
                let json = serde_json::to_string(&url).expect("JSON");
                assert_eq!(serde_json::from_str::<EndpointUrl>(&json).expect("the same"), url);
                assert_eq!(EndpointUrl::stored(text), Ok(url));
            }
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn each_fault_is_named() {
        let long = format!("https://example.com/{}", "x".repeat(MAX_URL_CHARACTERS));
        for (text, fault) in [
            ("http://example.com/", "must use https"),
            ("ftp://example.com/", "must use https"),
            ("file:///etc/passwd", "must use https"),
            ("gopher://example.com/", "must use https"),
            ("data:text/plain,x", "must use https"),
            ("https://user@example.com/", "user name"),
            ("https://user:pass@example.com/", "user name"),
            ("https://:pass@example.com/", "user name"),
            ("https://example.com@evil.example/", "user name"),
            ("https://example.com/#", "fragment"),
            ("https://example.com/a#b", "fragment"),
            ("https://example.com:0/", "port 0"),
            ("https://example.com:65536/", "port"),
            ("https://example.com:x/", "port"),
            ("https://", "host"),
            ("https:///", "host"),
            ("https://?a", "host"),
            ("https://./", "host"),
            ("https://exa%00mple.com/", "host"),
            ("https://exa<mple.com/", "host"),
            ("https://[::1/", "host"),
            ("https://[fe80::1%25eth0]/", "host"),
            ("https://1.2.3.4.5/", "host"),
            ("https://256.1.1.1/", "host"),
            ("https://0x100000000/", "host"),
            ("", "absolute"),
            ("example.com", "absolute"),
            ("//example.com/", "absolute"),
            (" https://example.com/", "spaces"),
            ("https://example.com/a b", "spaces"),
            ("https://example.com/\n", "spaces"),
            ("https://exam\tple.com/", "spaces"),
            ("https://example.com/\u{0}", "spaces"),
            ("https://example.com/\u{7f}", "spaces"),
            ("https://example.com/\u{a0}", "spaces"),
            ("https://example.com/\u{2028}", "spaces"),
            ("https:example.com", "written"),
            ("https:/example.com", "written"),
            ("https:///example.com", "written"),
            ("https:\\\\example.com", "written"),
            ("https://example.com\\@evil.example/", "written"),
            ("https://localhost/", "public host"),
            ("https://LOCALHOST:8443/", "public host"),
            ("https://localhost./", "public host"),
            ("https://a.localhost/", "public host"),
            ("https://a.localhost./", "public host"),
            ("https://ｌｏｃａｌｈｏｓｔ/", "public host"),
            ("https://loc%61lhost/", "public host"),
            ("https://localhost.localdomain/", "public host"),
            ("https://intranet/", "public host"),
            ("https://kubernetes.default.svc.cluster.local/", "public host"),
            ("https://metadata.google.internal/", "public host"),
            ("https://ip-10-0-0-1.ec2.internal/", "public host"),
            ("https://nas.home.arpa/", "public host"),
            (&long, "2,048"),
        ] {
            let found = faults(Strict, text);
            assert!(found.iter().any(|found| found.contains(fault)), "{text:?}: {found:?}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn special_addresses_are_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "0177.1",
            "0x7f.1",
            "0x7f.0x0.0x0.0x1",
            "0x7f000001",
            "0X7F000001",
            "2130706433",
            "017700000001",
            "00000000177.0.0.1",
            "%31%32%37.0.0.1",
            "１２７.０.０.１",
            "127。0。0。1",
            "①②⑦.⓪.⓪.①",
            "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
            "²130706433",
            "0",
            "0.0.0.0",
            "0x0",
            "169.254.169.254",
            "169.254.43518",
            "169.16689662",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "0251.254.169.254",
            "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
            "10.0.0.1",
            "10.1",
            "012.1",
            "192.168.1",
            "172.16.0.1",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "4294967295",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[0000::0001]",
            "[::127.0.0.1]",
            "[::7f00:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:8.8.8.8]",
            "[::ffff:0:7f00:1]",
            "[::5efe:7f00:1]",
            "[::200:5efe:7f00:1]",
            "[2600::5efe:a9fe:a9fe]",
            "[64:ff9b::169.254.169.254]",
            "[64:ff9b:1::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[2001:0:7f00:1::]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
        ] {
            let text = format!("https://{host}/hook");
            let found = faults(Strict, &text);
            assert!(found.iter().any(|fault| fault.starts_with("must not point to")), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_developers_machine_may_use_http_and_loopback_but_no_other_private_address() {
        for text in [
            "http://localhost:8080/hook",
            "http://127.0.0.1:8080/",
            "https://127.8.9.10/",
            "http://[::1]:8080/",
            "http://example.com/",
            "http://receiver:8080/",
            "http://a.localhost/",
        ] {
            assert_eq!(faults(AllowLoopback, text), Vec::<String>::new(), "{text}");
        }
        for text in [
            "http://0.0.0.0/",
            "http://10.0.0.1/",
            "http://169.254.169.254/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[::ffff:0:7f00:1]/",
            "http://[fd00:ec2::254]/",
            "ftp://127.0.0.1/",
            "ws://example.com/",
            "http://user@localhost/",
            "http://localhost:0/",
        ] {
            assert_ne!(faults(AllowLoopback, text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        assert_eq!(
            faults(Strict, "http://user:secret@127.0.0.1:0/a b#c"),
            [
                "must not contain spaces or control characters",
                "must use https",
                "must not carry a user name or a password",
                "must not have a fragment (#)",
                "must not use port 0",
                "must not point to 127.0.0.1: a loopback address",
            ]
        );
        assert_eq!(
            faults(Strict, "foo://127.0.0.1/"),
            ["must use https", "must not point to 127.0.0.1: a loopback address"]
        );
    }

    #[test]
    fn the_longest_url_is_counted_in_characters() {
        let at_limit = format!("https://example.com/{}", "ü".repeat(MAX_URL_CHARACTERS - 20));
        assert_eq!(at_limit.chars().count(), MAX_URL_CHARACTERS);
        assert_eq!(faults(Strict, &at_limit), Vec::<String>::new());
        assert_eq!(faults(Strict, &(at_limit + "x")), ["must be at most 2,048 characters"]);
    }

    proptest::proptest! {
        /// An accepted URL can be sent, and an address in it is public.
        #[test]
        fn an_accepted_url_is_valid_https_and_public(text in "https?://[a-z0-9.:@%\\[\\]x①。-]{1,24}(/[ -~]{0,8})?") {
            if let Ok(url) = Strict.judge_url(&text) {
                proptest::prop_assert!(url.literal_address().is_none_or(|ip| Strict.allows(ip)));
                proptest::prop_assert!(url.as_url().as_str().parse::<http::Uri>().is_ok());
                proptest::prop_assert_eq!(url.as_url().scheme(), "https");
            }
        }
    }
}
