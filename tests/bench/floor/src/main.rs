//! A minimal relay: what a delivery takes at least, if an event is on disk before its 202.
//!
//! `floor FILE URL` listens on a free port and prints its address. Every body posted to `/events`
//! becomes a row of a SQLite database in FILE, is signed, and is posted to URL. A row is deleted
//! when its delivery has succeeded. Rows that are left are delivered at the next start. There are no
//! accounts, no retries and no history.

mod rows;

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rows::Rows;
use sha2::Sha256;
use std::{
    env::args,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The key of every signature.
const KEY: &[u8] = b"a key of 24 bytes or so.";

/// What every request needs.
struct Relay {
    rows: Rows,
    client: reqwest::Client,
    url: String,
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "a relay of its own, and the receiver is the bench")]
async fn main() -> anyhow::Result<()> {
    let (Some(file), Some(url)) = (args().nth(1), args().nth(2)) else {
        anyhow::bail!("usage: floor FILE URL");
    };
    let (rows, left) = Rows::open(&file)?;
    let relay = Arc::new(Relay { rows, client: reqwest::Client::new(), url });
    for (id, payload) in left {
        tokio::spawn(deliver(Arc::clone(&relay), id, payload));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let router = Router::new().route("/events", post(publish)).with_state(relay);
    Ok(axum::serve(listener, router).await?)
}

/// Answers 202 when the event is on disk.
async fn publish(State(relay): State<Arc<Relay>>, payload: Bytes) -> StatusCode {
    let Some(id) = relay.rows.insert(payload.clone()).await else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    tokio::spawn(deliver(relay, id, payload));
    StatusCode::ACCEPTED
}

/// Posts an event to the URL, with the signature of Standard Webhooks, and deletes it once that has
/// succeeded.
async fn deliver(relay: Arc<Relay>, id: i64, payload: Bytes) {
    #[allow(clippy::disallowed_methods, reason = "a relay of its own, which no simulation runs")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let request = relay.client.post(&relay.url).header("content-type", "application/json");
    let request = request.header("webhook-id", id.to_string()).header("webhook-timestamp", now.to_string());
    let request = request.header("webhook-signature", signature(id, now, &payload)).body(payload);
    if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
        relay.rows.delete(id);
    }
}

fn signature(id: i64, timestamp_s: u64, payload: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("HMAC accepts a key of any length");
    mac.update(format!("{id}.{timestamp_s}.").as_bytes());
    mac.update(payload);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
