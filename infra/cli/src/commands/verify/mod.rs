//! `hookline verify`: whether the signatures of a saved request hold and, if not, what happened. With a secret it works offline, and
//! otherwise it asks the API.

mod offline;
mod online;
mod request;

use super::Session;
use crate::{
    arguments::{Header, Moment, read_whole},
    output::{Output, style::Style, text::visible},
    usage::UsageError,
};
use clap::Args;
use domain::id::WebhookId;
use request::SavedRequest;
use std::{fs::File, io, process::ExitCode};

/// A request to verify.
#[derive(Args)]
pub(crate) struct Verify {
    /// The saved request: request line, headers, an empty line and the body. A file, or - for stdin.
    file: String,
    /// A secret of the webhook, to work offline. Can be repeated, for a rotation.
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,
    /// The webhook that the request was sent for. By default, every webhook of the account may have sent it.
    #[arg(long, value_name = "ID")]
    webhook: Option<WebhookId>,
    /// Ask the API, and send it the secret, so that it is compared with those of the webhooks.
    #[arg(long, requires = "secrets")]
    send_secret: bool,
    /// A header of the request, 'Name: value', if the file has the body alone. Can be repeated.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<Header>,
    /// When the request was received, a time or how long ago. By default, the API judges its age by the recorded attempt.
    #[arg(long, value_name = "TIME")]
    received_at: Option<Moment>,
    /// The signature that your own code computed for the request. It is explained, too.
    #[arg(long, value_name = "SIGNATURE")]
    computed: Option<String>,
}

/// Shows neither the secrets nor what the request carried.
impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify").field("file", &self.file).field("webhook", &self.webhook).finish_non_exhaustive()
    }
}

impl Verify {
    /// Whether nothing is sent anywhere.
    pub(super) fn is_offline(&self) -> bool {
        !self.secrets.is_empty() && !self.send_secret
    }

    /// Reads the request.
    fn request(&self) -> Result<SavedRequest, UsageError> {
        let file = read(&self.file).map_err(|error| UsageError::new(format!("cannot read {}: {error}", self.file)))?;
        let mut request =
            SavedRequest::parse(&file).map_err(|fault| UsageError::new(format!("{}: {fault}", self.file)))?;
        self.headers.iter().for_each(|header| request.set(header.clone()));
        Ok(request)
    }

    /// Judges the request on this machine.
    pub(super) fn run_offline(&self, out: Output) -> anyhow::Result<ExitCode> {
        if self.webhook.is_some() {
            return Err(
                UsageError::new("--webhook asks the API: leave out --secret, or send it with --send-secret").into()
            );
        }
        let diagnosis = offline::judge(self, self.request()?)?;
        if out.json {
            out.line(&serde_json::to_string(&diagnosis)?)?;
        } else {
            for finding in &diagnosis.findings {
                print(out, finding.code.as_str(), &finding.header, &finding.detail)?;
            }
        }
        Ok(exit_code(diagnosis.valid))
    }

    /// Asks the API.
    pub(super) async fn run_online(&self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.client.debug_signatures(&online::body(self, &self.request()?)?).await?;
        let out = session.out;
        if out.json {
            out.line(answer.json.trim_end())?;
        } else {
            for finding in &answer.value.findings {
                print(out, &finding.code, &finding.header, &finding.detail)?;
            }
        }
        Ok(exit_code(answer.value.valid))
    }
}

fn exit_code(valid: bool) -> ExitCode {
    if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(name: &str) -> io::Result<Vec<u8>> {
    if name == "-" { read_whole(io::stdin()) } else { read_whole(File::open(name)?) }
}

fn print(out: Output, code: &str, header: &str, detail: &str) -> io::Result<()> {
    let (verdict, style) = if code == "valid" { ("holds", Style::Good) } else { ("does not hold", Style::Bad) };
    let verdict = out.paint(style, &format!("{verdict:<13}"));
    out.line(&format!("{:<19}  {verdict}  {}", visible(header), visible(detail)))
}
