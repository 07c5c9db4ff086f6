//! The local receiver that events are forwarded to.

use crate::{
    client::{
        error::{innermost, is_refused},
        webhooks::PolledRequest,
    },
    connection::is_loopback,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::redirect;
use std::time::{Duration, Instant};
use url::Url;

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one answer. It is longer than Hookline's own, because a developer may stop at a breakpoint.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of an answer that are read, so that the connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The header with the number of the attempt.
const ATTEMPT: &str = "x-webhook-attempt";

/// Reads the URL of a local receiver. `3000/webhooks` and `localhost:3000` are short forms.
///
/// # Errors
/// A phrase for the user.
pub(super) fn parse_target(text: &str) -> Result<Url, String> {
    let port = text.split('/').next().unwrap_or_default();
    let whole = if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("http://127.0.0.1:{text}")
    } else if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host() && !text.starts_with('/');
    let url = Url::parse(&whole).ok().filter(is_web);
    url.ok_or_else(|| "must be a URL such as http://localhost:3000/webhooks, or a port".to_owned())
}

/// A client of the receiver.
pub(super) struct Receiver {
    http: reqwest::Client,
    url: Url,
}

/// What the receiver made of a request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The answer's status, or why there is none.
    pub(super) answer: Result<StatusCode, String>,
    /// How long it took.
    pub(super) duration: Duration,
}

impl Outcome {
    /// Whether the receiver has taken the event.
    pub(super) fn is_taken(&self) -> bool {
        self.answer.as_ref().is_ok_and(StatusCode::is_success)
    }
}

impl Receiver {
    #[allow(clippy::disallowed_methods, reason = "the developer's own receiver, which may be on loopback")]
    pub(super) fn new(url: Url) -> anyhow::Result<Self> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(redirect::Policy::none());
        // A proxy of the environment cannot reach this machine's loopback.
        let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
        Ok(Self { http: builder.build()?, url })
    }

    /// Where requests go, without a password.
    pub(super) fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        if url.password().is_some() {
            url.set_password(Some("***")).expect("a URL that has a password can have another one");
        }
        url.into()
    }

    /// Sends a request as attempt `number`.
    pub(super) async fn send(&self, request: &PolledRequest, number: u32) -> Outcome {
        let began = Instant::now();
        let mut headers = headers(request);
        headers.insert(ATTEMPT, number.into());
        let sent = self.http.post(self.url.clone()).headers(headers).body(request.body.clone()).send().await;
        let answer = match sent {
            Ok(mut response) => {
                let mut bytes = 0;
                let ended = loop {
                    match response.chunk().await {
                        Ok(Some(chunk)) => bytes += chunk.len(),
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(why(&error)),
                    }
                    if bytes > ANSWER_BYTES_MAX {
                        break Ok(());
                    }
                };
                ended.map(|()| response.status())
            }
            Err(error) => Err(why(&error)),
        };
        Outcome { answer, duration: began.elapsed() }
    }
}

fn headers(request: &PolledRequest) -> HeaderMap {
    let read = request
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?)));
    read.collect()
}

/// Why there is no answer.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if is_refused(error) {
        "nothing listens there".to_owned()
    } else {
        innermost(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_has_a_url_or_a_port() {
        for (text, url) in [
            ("3000", "http://127.0.0.1:3000/"),
            ("3000/webhooks", "http://127.0.0.1:3000/webhooks"),
            ("localhost:5000/a?b=c", "http://localhost:5000/a?b=c"),
            ("https://dev.example.com/hook", "https://dev.example.com/hook"),
        ] {
            assert_eq!(parse_target(text).expect(text).as_str(), url);
        }
        for wrong in ["", "/webhooks", "ftp://localhost/", "99999", "http://"] {
            assert!(parse_target(wrong).is_err(), "{wrong}");
        }
    }
}
