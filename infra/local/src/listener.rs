//! The API on this machine's network. What it answers to a request that changes something is on the disk, safe from a loss
//! of power, as it is in AWS.

use crate::embedded::EmbeddedAws;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    serve::ListenerExt,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves `router` until `stop`, then what is under way.
pub(crate) async fn serve(listener: TcpListener, router: Router, aws: EmbeddedAws, stop: CancellationToken) {
    let router = router.layer(middleware::from_fn_with_state(aws, on_disk));
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "the listener failed");
    }
}

/// Lets an answer go out only after what it promises is on the disk.
async fn on_disk(State(aws): State<EmbeddedAws>, request: Request, next: Next) -> Response {
    let changes_nothing = request.method().is_safe();
    let response = next.run(request).await;
    if changes_nothing {
        return response;
    }
    aws.flush().await.map_or_else(|error| api::failed(&error), |()| response)
}
