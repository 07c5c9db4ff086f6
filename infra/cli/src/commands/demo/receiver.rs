//! The demo's receiver: it verifies each request and answers as it is told.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use domain::{secret::Secret, signature};
use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use url::Url;

/// The most bytes of a request. An event has at most 256 KiB, and its envelope some more.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How the receiver answers requests that are signed well.
#[derive(Clone, Copy, Debug)]
pub(super) enum Behavior {
    /// With 200.
    Works,
    /// With 500 once, then with 200.
    FailsOnce,
    /// With 500.
    Broken,
}

/// A request that has arrived.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) event: String,
    pub(super) event_type: String,
    pub(super) attempt: String,
    pub(super) is_verified: bool,
    pub(super) answer: StatusCode,
    pub(super) at: Instant,
}

struct Inner {
    /// The webhook's secret. `None` until it is registered.
    secret: Mutex<Option<Secret>>,
    behavior: Mutex<Behavior>,
    arrivals: UnboundedSender<Arrival>,
}

/// A receiver on a port of this machine. It ends with the process.
pub(super) struct DemoReceiver {
    inner: Arc<Inner>,
    pub(super) url: Url,
    pub(super) arrivals: UnboundedReceiver<Arrival>,
}

fn set<T>(place: &Mutex<T>, value: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

impl DemoReceiver {
    /// Starts the receiver on a free port.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = Url::parse(&format!("http://{}/webhooks", listener.local_addr()?))?;
        let (sender, arrivals) = unbounded_channel();
        let (secret, behavior) = (Mutex::default(), Mutex::new(Behavior::Works));
        let inner = Arc::new(Inner { secret, behavior, arrivals: sender });
        let router = Router::new().route("/webhooks", post(receive)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
        let router = router.with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { inner, url, arrivals })
    }

    /// Gives it the secret to verify with.
    pub(super) fn verify_with(&self, secret: Secret) {
        set(&self.inner.secret, Some(secret));
    }

    /// Tells it how to answer from now on.
    pub(super) fn behave(&self, behavior: Behavior) {
        set(&self.inner.behavior, behavior);
    }
}

async fn receive(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let secret = inner.secret.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let is_verified = secret.is_some_and(|secret| {
        let timestamp_s = header("webhook-timestamp").parse().unwrap_or_default();
        signature::standard([&secret], &header("webhook-id"), timestamp_s, &body) == header("webhook-signature")
    });
    let answer = if is_verified { inner.answer() } else { StatusCode::UNAUTHORIZED };
    let arrival = Arrival {
        event: header("webhook-id"),
        event_type: header("x-webhook-event"),
        attempt: header("x-webhook-attempt"),
        is_verified,
        answer,
        at: Instant::now(),
    };
    // The demo may have ended.
    inner.arrivals.send(arrival).ok();
    answer
}

impl Inner {
    fn answer(&self) -> StatusCode {
        let mut behavior = self.behavior.lock().unwrap_or_else(PoisonError::into_inner);
        match *behavior {
            Behavior::Works => StatusCode::OK,
            Behavior::FailsOnce => {
                *behavior = Behavior::Works;
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Behavior::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
