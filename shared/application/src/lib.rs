//! What Hookline does, as functions over the store. Handlers call them, and so do tests.
//!
//! | module | does |
//! |---|---|
//! | [`publishing`] | stores events and begins their fan-out; once for each idempotency key |
//! | [`judging`] | judges an event by the schema of its type |
//! | [`fan_out`] | enqueues a task for each webhook that receives an event, page by page |
//! | [`dry_run`] | says which webhooks an event would reach, without publishing it |
//! | [`filters`] | whether an event passes a webhook's filter |
//! | [`polling`] | reads what a polled webhook would have been sent, and signs it |
//! | [`recovery`] | sends a webhook's undelivered events of a time window again, page by page |
//! | [`disabling`] | disables a webhook, and announces it to the account's other webhooks |
//! | [`trials`] | tries a webhook again that failures have disabled, and enables it when that succeeds |
//! | [`operational`] | reports what happens to webhooks and deliveries, as events |
//! | [`enabling`] | begins the recovery of what was held when a webhook is enabled |
//! | [`diagnosis`] | judges the signatures of a request that a receiver got |
//! | [`rotation`] | replaces a webhook's secret |
//! | [`test_delivery`] | sends a type's sample to one webhook |
//! | [`manual_retry`] | enqueues one attempt outside the retry schedule |
//! | [`cancelling`] | cancels one delivery |
//! | [`portal`] | makes links to the portal, and exchanges their codes for sessions |
//! | [`config`] | the settings of a deployment |

mod app;
pub mod cancelling;
pub mod config;
pub mod diagnosis;
pub mod disabling;
pub mod dry_run;
pub mod enabling;
mod error;
pub mod fan_out;
pub mod filters;
pub mod judging;
pub mod manual_retry;
pub mod operational;
pub mod polling;
pub mod portal;
pub mod publishing;
pub mod recovery;
pub mod rotation;
pub mod test_delivery;
pub mod trials;

pub use app::App;
pub use error::Error;
