//! The address to listen on: how users write it, and what to tell them if it cannot be had.

use anyhow::Context;
use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};
use tokio::net::TcpListener;

/// The port of the default address.
const DEFAULT_PORT: u16 = 3000;
/// The first port that needs no privileges.
const FIRST_FREE_PORT: u16 = 1024;
/// What a user can write.
const EXPECTED: &str =
    "expected a port such as 3001, localhost:3001, or an IP address with a port such as 0.0.0.0:3001";

/// Reads a port, which is then one of 127.0.0.1, or an address with a port. `localhost` is 127.0.0.1. Other names are refused,
/// because they may have several addresses.
///
/// # Errors
/// A phrase for the user.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, String> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SocketAddr::new(loopback, port(text)?));
    }
    let is_ip = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    match text.rsplit_once(':') {
        Some((host, digits)) if host.eq_ignore_ascii_case("localhost") => Ok(SocketAddr::new(loopback, port(digits)?)),
        _ if text.parse::<Ipv4Addr>().is_ok() => Err(format!("the port is missing; for example {text}:{DEFAULT_PORT}")),
        _ if is_ip(text) => Err(format!("write an IPv6 address in brackets, and a port: [::1]:{DEFAULT_PORT}")),
        Some((host, digits)) if is_ip(host) => Err(port(digits).err().unwrap_or_else(|| EXPECTED.to_owned())),
        _ => Err(EXPECTED.to_owned()),
    }
}

fn port(digits: &str) -> Result<u16, String> {
    digits.parse().map_err(|_| "the port must be a number from 0 to 65535; 0 picks a free one".to_owned())
}

/// Listens on `address`.
///
/// # Errors
/// The address cannot be had. The message says what to choose instead.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.or_else(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            let other = with_port(address, address.port().checked_add(1).unwrap_or(DEFAULT_PORT));
            anyhow::bail!("another program listens on {address}; choose another port: --listen {other}")
        }
        ErrorKind::PermissionDenied if (1..FIRST_FREE_PORT).contains(&address.port()) => {
            let other = with_port(address, DEFAULT_PORT);
            anyhow::bail!("a port below {FIRST_FREE_PORT} needs privileges; choose another port: --listen {other}")
        }
        ErrorKind::AddrNotAvailable => {
            anyhow::bail!(
                "this machine does not have the address {}; to listen on all that it has: --listen {}",
                address.ip(),
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())
            )
        }
        _ => Err(error).with_context(|| format!("cannot listen on {address}")),
    })
}

/// Writes the address with another port, as short as [`parse`] reads it.
fn with_port(address: SocketAddr, port: u16) -> String {
    if address.ip() == Ipv4Addr::LOCALHOST { port.to_string() } else { SocketAddr::new(address.ip(), port).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_alone() {
        for (text, address) in [
            ("3001", "127.0.0.1:3001"),
            ("0", "127.0.0.1:0"),
            ("localhost:3001", "127.0.0.1:3001"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:3001", "[::1]:3001"),
        ] {
            assert_eq!(parse(text).map(|address| address.to_string()).as_deref(), Ok(address), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_is_refused_with_what_to_write() {
        for (text, hint) in [
            ("70000", "from 0 to 65535"),
            ("localhost:http", "from 0 to 65535"),
            ("127.0.0.1:99999", "from 0 to 65535"),
            ("::1:x", "from 0 to 65535"),
            ("127.0.0.1", "127.0.0.1:3000"),
            ("[::1]", "[::1]:3000"),
            ("::1", "[::1]:3000"),
            ("::1:3001", "[::1]:3000"),
            ("", "localhost:3001"),
            ("localhost", "localhost:3001"),
            (":3001", "localhost:3001"),
            ("example.com:3001", "localhost:3001"),
            ("http://localhost:3001", "localhost:3001"),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(hint), "{text}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_refused_with_the_next_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let taken = listener.local_addr().expect("an address");
        let refused = bind(taken).await.expect_err("taken").to_string();
        let next = taken.port().checked_add(1).unwrap_or(DEFAULT_PORT);
        assert_eq!(refused, format!("another program listens on {taken}; choose another port: --listen {next}"));
        let other = with_port("[::1]:3000".parse().expect("an address"), 3001);
        assert_eq!(other, "[::1]:3001");
    }
}
