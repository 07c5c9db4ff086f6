//! Whether a request dialled a connection of its own or got a reused one. Neither reqwest nor hyper says so when a request fails.

use std::{
    cell::Cell,
    task::{Context, Poll},
};
use tower::{Layer, Service};

tokio::task_local! {
    /// Whether the request of this task has dialled.
    static HAS_DIALLED: Cell<bool>;
}

/// Runs `request`. Returns its result, and whether it has dialled.
pub(super) async fn noting<T>(request: impl Future<Output = T>) -> (T, bool) {
    HAS_DIALLED.scope(Cell::new(false), async { (request.await, HAS_DIALLED.with(Cell::get)) }).await
}

/// A layer around the client's connector that notes each dial.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoteDials;

impl<S> Layer<S> for NoteDials {
    type Service = Noting<S>;

    fn layer(&self, connector: S) -> Noting<S> {
        Noting(connector)
    }
}

/// The connector within [`NoteDials`].
#[derive(Clone, Debug)]
pub(super) struct Noting<S>(S);

impl<S: Service<T>, T> Service<T> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: T) -> S::Future {
        // A dial that outlives its request goes on outside its task, where there is nothing to note.
        let _ = HAS_DIALLED.try_with(|has_dialled| has_dialled.set(true));
        self.0.call(target)
    }
}
