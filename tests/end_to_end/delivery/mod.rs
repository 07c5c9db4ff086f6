//! Tests of a delivery: the request on the wire, its signatures, retries, rate limits, test
//! deliveries and recovery.

mod manual_retry;
mod on_the_wire;
mod payload_bytes;
mod rate_limit;
mod recovery;
mod retry_after;
mod retry_schedule;
mod rotation;
mod test_deliveries;
