//! A receiver of webhooks, to copy. It verifies and stores an event, answers, and processes the event later, each event once.

use anyhow::{Context, anyhow};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use bytes::Bytes;
use serde_json::Value;
use standardwebhooks::Webhook;
use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::Notify};

/// How long an event is remembered, so that a duplicate is dropped.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// How often failed work is tried again, and old events are removed.
const ROUND: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Your own work. After a crash it may run again for the same event, so repeating it must be harmless.
fn process(event: &Value) -> anyhow::Result<()> {
    let text = |name: &str| event[name].as_str().with_context(|| format!("an event has {name}"));
    println!("processed {} {}", text("id")?, text("type")?);
    Ok(())
}

struct Receiver {
    /// Checks the signature, and that the timestamp is at most five minutes off (Standard Webhooks 1.0.0). During a rotation of
    /// the secret there is a signature for each valid secret, up to four. One match is enough.
    webhook: Webhook,
    /// The folder with a file for each event, and a second file for each event that is processed.
    inbox: PathBuf,
    stored: Notify,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if receiver.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let stored = {
        let receiver = Arc::clone(&receiver);
        tokio::task::spawn_blocking(move || receiver.store(&id, &body)).await
    };
    match stored.map_err(anyhow::Error::from).flatten() {
        Ok(is_new) => {
            if is_new {
                receiver.stored.notify_one();
            }
            StatusCode::OK // also for a duplicate, so that it is not sent again
        }
        Err(error) => {
            eprintln!("not stored: {error:#}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl Receiver {
    /// Stores the event on disk. Returns false if it is stored already. The file gets its name only when it is complete.
    fn store(&self, id: &str, body: &[u8]) -> anyhow::Result<bool> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(anyhow!("an id that cannot name a file"));
        }
        let draft = self.inbox.join(format!(".{id}.{:?}", std::thread::current().id()));
        let mut file = File::create(&draft)?;
        file.write_all(body)?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, self.inbox.join(format!("{id}.json")));
        fs::remove_file(&draft)?;
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Processes the stored events, oldest first (ids sort by time), and removes those that need not be remembered.
    fn work(&self) -> anyhow::Result<()> {
        let entries = fs::read_dir(&self.inbox)?.map(|entry| Ok(entry?.path()));
        let mut paths = entries.collect::<anyhow::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        for path in paths {
            let done = path.with_extension("done");
            match fs::metadata(&done) {
                Ok(metadata) if metadata.modified()?.elapsed()? > REMEMBERED => {
                    fs::remove_file(&path)?;
                    fs::remove_file(&done)?;
                }
                Ok(_) => {}
                Err(_) => {
                    process(&serde_json::from_slice(&fs::read(&path)?)?)?;
                    File::create(&done)?;
                }
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let secret = env::var("WEBHOOK_SECRET").context("WEBHOOK_SECRET must be set")?;
    // A secret that begins with whsec_ is base64. Any other secret is used as it is.
    let webhook =
        if secret.starts_with("whsec_") { Webhook::new(&secret)? } else { Webhook::from_bytes(secret.into_bytes())? };
    let inbox = PathBuf::from(env::var("INBOX").unwrap_or_else(|_| "inbox".to_owned()));
    fs::create_dir_all(&inbox)?;
    let receiver = Arc::new(Receiver { webhook, inbox, stored: Notify::new() });

    let worker = Arc::clone(&receiver);
    tokio::spawn(async move {
        loop {
            let receiver = Arc::clone(&worker);
            match tokio::task::spawn_blocking(move || receiver.work()).await.map_err(anyhow::Error::from).flatten() {
                Ok(()) => {}
                Err(error) => eprintln!("not processed: {error:#}"),
            }
            let _ = tokio::time::timeout(ROUND, worker.stored.notified()).await;
        }
    });

    let port: u16 = env::var("PORT").map_or(Ok(5000), |port| port.parse()).context("PORT is no port")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("port {}", listener.local_addr()?.port());
    let router =
        Router::new().fallback(post(receive)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(receiver);
    Ok(axum::serve(listener, router).await?)
}
