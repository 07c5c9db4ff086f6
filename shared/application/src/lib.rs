//! What Hookline does, as functions over the store. Handlers call them, and so do tests.
//!
//! | module | does |
//! |---|---|
//! | [`publishing`] | stores events and begins their fan-out; once for each idempotency key |
//! | [`fan_out`] | enqueues a task for each webhook that receives an event, page by page |
//! | [`recovery`] | sends a webhook's undelivered events of a time window again, page by page |
//! | [`disabling`] | disables a webhook, and announces it to the account's other webhooks |
//! | [`rotation`] | replaces a webhook's secret |
//! | [`test_delivery`] | sends a type's sample to one webhook |
//! | [`manual_retry`] | enqueues one attempt outside the retry schedule |
//! | [`config`] | the settings of a deployment |

mod app;
pub mod config;
pub mod disabling;
mod error;
pub mod fan_out;
pub mod manual_retry;
pub mod publishing;
pub mod recovery;
pub mod rotation;
pub mod test_delivery;

pub use app::App;
pub use error::Error;
