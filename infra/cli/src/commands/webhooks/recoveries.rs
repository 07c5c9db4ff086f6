//! `hookline webhooks recover`.

use super::Session;
use crate::{
    client::{
        Answer, Error,
        webhooks::{NewRecovery, Recovery},
    },
    commands::progress::Pause,
    output::text::visible,
};
use domain::id::{RecoveryId, WebhookId};
use std::process::ExitCode;

/// Begins a recovery. With `wait`, waits until all of it is enqueued.
pub(super) async fn recover(
    session: &Session,
    webhook: WebhookId,
    body: &NewRecovery,
    wait: bool,
) -> anyhow::Result<ExitCode> {
    let mut answer = session.client.recover_webhook(webhook, body).await?;
    if wait {
        answer = ended(session, webhook, answer).await?;
    }
    session.out.answer(&answer, |out, Recovery { id, status, looked_at, sent, .. }| {
        let (id, status) = (visible(id), visible(status));
        out.line(&format!("{id} {status}: looked at {looked_at} events, sent {sent}"))?;
        if status == "running" {
            out.line(&format!("`hookline webhooks recoveries {webhook} {id}` shows its progress"))?;
        }
        Ok(())
    })?;
    Ok(if answer.value.status == "stopped" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Waits until a recovery is no longer running.
async fn ended(session: &Session, webhook: WebhookId, mut answer: Answer<Recovery>) -> Result<Answer<Recovery>, Error> {
    let mut pause = Pause::new();
    while answer.value.status == "running" {
        let Ok(id) = answer.value.id.parse::<RecoveryId>() else { break };
        pause.wait().await;
        answer = session.client.read_recovery(webhook, id).await?;
    }
    Ok(answer)
}
