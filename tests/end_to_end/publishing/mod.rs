//! Tests of publishing: fan-out to the subscribed webhooks, idempotency keys, the publish limit,
//! and producers inside AWS.

mod fan_out;
mod idempotency;
mod publish_limit;
mod queue_producers;
