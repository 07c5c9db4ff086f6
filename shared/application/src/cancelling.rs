//! A user's cancel of one delivery.

use crate::App;
use domain::delivery::{Cancel, Delivery};
use store::{
    StoreError,
    deliveries::{self, Put, Versioned},
};

/// The most tries of a cancel. A try fails if a worker writes first.
const TRIES: usize = 8;

/// The result of a cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The delivery is cancelled. An attempt that is under way may still deliver it.
    Yes(Delivery),
    /// The delivery is delivered.
    Delivered,
}

/// Cancels `delivery`, which was read as `read`. A delivery that is not stored yet is stored. Decides again if a worker writes
/// first, such as the one that acquires the lease of the first attempt.
pub async fn cancel(app: &App, mut delivery: Delivery, mut read: Versioned) -> Result<Cancelled, StoreError> {
    for _ in 0..TRIES {
        let marked = match delivery.cancel() {
            Cancel::Mark(marked) => marked,
            Cancel::Done => return Ok(Cancelled::Yes(delivery)),
            Cancel::Delivered => return Ok(Cancelled::Delivered),
        };
        match deliveries::put(&app.store, &read, marked.clone()).await? {
            Put::Written(_) => return Ok(Cancelled::Yes(marked)),
            Put::Conflict(newer) => {
                // The stored one has expired if there is none any more. It is then cancelled as it was read.
                delivery = newer.delivery.clone().unwrap_or(delivery);
                read = newer;
            }
        }
    }
    Err(StoreError::Contended(delivery.delivery.to_string()))
}
