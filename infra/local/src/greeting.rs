//! The first screen: where it listens, the token, where the data is, and what to try.

use crate::{options::Options, style::Style, text_lines::harmless};
use std::{
    io::{IsTerminal, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// The address and the folder in which `hookline` looks, if it is not told.
const USUAL_ADDRESS: &str = "127.0.0.1:3000";
const USUAL_FOLDER: &str = ".hookline";

/// What the first screen shows once.
pub(crate) struct Credentials {
    /// The API token.
    pub(crate) token: String,
    /// The code of a link to the portal.
    pub(crate) portal_code: String,
}

/// Prints the first screen. Programs read its first line, `listening on http://HOST:PORT`, so that line never changes.
///
/// # Errors
/// Standard output cannot be written to.
pub(crate) fn print(options: &Options, address: SocketAddr, shown: &Credentials) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text(options, address, shown, Style::of(&out)).as_bytes())?;
    if out.is_terminal() {
        writeln!(out, "Ctrl-C stops Hookline. Each delivery attempt has a line below.\n")?;
    }
    out.flush()
}

fn text(options: &Options, address: SocketAddr, shown: &Credentials, style: Style) -> String {
    let Credentials { token, portal_code } = shown;
    let data = match options.data_folder() {
        Some(folder) => format!("kept in {}", harmless(&folder.to_string_lossy())),
        None => "in memory; nothing is kept (--ephemeral)".to_owned(),
    };
    let url = format!("http://{}", reachable(address));
    let authorization = quoted(&format!("Authorization: Bearer {token}"));
    let portal = style.bold(&format!("{url}/portal#code={portal_code}"));
    let settings = settings(options, &url, token);
    let another = format!("{settings}cargo run -p cli -- portal");
    let demo = style.bold(&format!("{settings}cargo run -p cli -- demo"));
    let (shown_token, data, heading) = (style.bold(token), style.bold(&data), |text| style.dim(text));
    let [try_first, register, publish, see] = [
        "Try it, in a second shell:",
        "Or with curl. Register a webhook (its secret is shown once):",
        "Publish an event:",
        "See what became of it (with the event's id):",
    ]
    .map(heading);
    format!(
        r#"listening on http://{address}
token:  {shown_token}
data:   {data}
portal: {portal}
        (works once, for 5 minutes; another: {another})

{try_first}
  {demo}

{register}
  curl -X POST {url}/v1/webhooks \
    -H {authorization} \
    -H 'Content-Type: application/json' \
    -d '{{"url":"http://127.0.0.1:5000/webhooks","events":["resource.*"]}}'
{publish}
  curl -X POST {url}/v1/events \
    -H {authorization} \
    -H 'Content-Type: application/json' \
    -d '{{"type":"resource.created","data":{{"object":{{"id":"res_1"}}}}}}'
{see}
  curl {url}/v1/events/EVENT_ID \
    -H {authorization}

"#
    )
}

/// Returns the environment that `hookline` needs to find this process, if it would not find it by itself.
fn settings(options: &Options, url: &str, token: &str) -> String {
    let is_usual_url = url == format!("http://{USUAL_ADDRESS}");
    let is_in_usual_folder = options.token.is_none() && options.data_folder() == Some(Path::new(USUAL_FOLDER));
    let url = if is_usual_url { String::new() } else { format!("HOOKLINE_URL={url} ") };
    let token = if is_in_usual_folder { String::new() } else { format!("HOOKLINE_TOKEN={} ", quoted(token)) };
    url + &token
}

/// Returns where a client on this machine reaches a listener on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
