//! The calls that wait: the long poll of a queue, and the hand-out of the next due schedule.

use crate::{
    engine::Engine,
    scheduler::{DueSchedule, Next},
    sqs::{Polled, ReceiveMessage},
    wire::{Fault, read},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The wait after the file could not be read.
const WAIT_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Answers a `ReceiveMessage`, which may wait for messages.
pub(crate) async fn receive(engine: &Engine, body: &[u8]) -> Result<String, Fault> {
    let request: Arc<ReceiveMessage> = Arc::new(read(body)?);
    request.check()?;
    // The wait is measured in tokio's time. Points in time come from the clock.
    let deadline = Instant::now() + Duration::from_secs(request.wait_seconds());
    loop {
        let asked = Arc::clone(&request);
        let polled = engine.run(move |state| {
            let (connection, queues, _) = state.parts();
            // Listen before looking, or a message that is sent in between would go unnoticed.
            let changed = Box::pin(queues.changed(&asked.queue_url)?.notified_owned());
            Ok((queues.poll(connection, &asked)?, changed))
        });
        let (Polled { messages, until_visible }, changed) = polled.await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !messages.is_empty() || left.is_zero() {
            return Ok(json!({"Messages": messages}).to_string());
        }
        let wait = until_visible.map_or(left, |until_visible| until_visible.min(left));
        let _ = tokio::time::timeout(wait, changed).await;
    }
}

/// See [`EmbeddedAws::next_due_schedule`](crate::EmbeddedAws::next_due_schedule).
pub(crate) async fn next_due(engine: &Engine) -> DueSchedule {
    loop {
        let found = engine.now(|state| {
            let (connection, _, schedules) = state.parts();
            // Listen before looking, or a schedule that is created in between would go unnoticed.
            let changed = Box::pin(schedules.changed().notified_owned());
            Ok((schedules.hand_out(connection)?, changed))
        });
        let wait = match found {
            Ok((Next::Due(schedule), _)) => return schedule,
            Ok((Next::Wait(wait), changed)) => {
                let _ = tokio::time::timeout(wait, changed).await;
                continue;
            }
            Err(error) => {
                tracing::error!(error = error.message(), "cannot read a due schedule");
                WAIT_AFTER_ERROR
            }
        };
        tokio::time::sleep(wait).await;
    }
}
