//! Tests of publishing: fan-out to the subscribed webhooks, idempotency keys, the publish limit,
//! schemas of event types, and producers inside AWS.

mod dry_run_agrees;
mod fan_out;
mod idempotency;
mod publish_limit;
mod queue_producers;
mod schemas;
mod traces;
