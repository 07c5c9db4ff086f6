//! `hookline status` and `hookline openapi`: what API is used.

use super::Session;
use crate::output::{style::Style, text::visible};
use std::{process::ExitCode, time::Instant};

/// Shows which API is used, with which token, and whether it answers.
pub(crate) async fn show(session: &Session) -> anyhow::Result<ExitCode> {
    let Session { client, connection, out, .. } = session;
    if !out.json {
        out.line(&format!("url      {} ({})", connection.url, connection.url_source))?;
        let token = match &connection.token {
            Some(_) => connection.token_source.to_string(),
            None => "none: `hookline login` stores one".to_owned(),
        };
        out.line(&format!("token    {token}"))?;
        let account = connection.account.as_ref().map_or("that of the token", |account| account.as_str());
        out.line(&format!("account  {account}"))?;
    }
    let start = Instant::now();
    let answer = client.read_healthz().await?;
    let took_ms = start.elapsed().as_millis();
    out.answer(&answer, |out, health| {
        let status = out.paint(Style::of_status(&health.status), &visible(&health.status));
        out.line(&format!("service  {status}, answered in {took_ms} ms"))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the API's description.
pub(crate) async fn openapi(session: &Session) -> anyhow::Result<ExitCode> {
    let answer = session.client.read_openapi().await?;
    session.out.json(&answer.json)?;
    Ok(ExitCode::SUCCESS)
}
