//! Tests of a delivery: the request on the wire, its signatures, retries, rate limits, test
//! deliveries, recovery, enabling, cancelling and unsubscribing.

mod cancel;
mod enabling;
mod filters;
mod manual_retry;
mod oauth;
mod on_the_wire;
mod operational_events;
mod options;
mod payload_bytes;
mod rate_limit;
mod recoveries;
mod recovery;
mod retry_after;
mod retry_schedule;
mod rotation;
mod test_deliveries;
mod trials;
mod unsubscribing;
