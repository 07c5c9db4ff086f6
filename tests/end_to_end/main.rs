//! Hookline, end to end: what its API and its documents promise, seen from outside over HTTP.
//!
//! The target is a process of `local`, one for each test, or the deployed stack that `HOOKLINE_URL` and
//! `HOOKLINE_TOKEN` name (see [`process`]). Every module is named by what it proves; [`api`], [`lambda_runtime`], [`process`], [`program`],
//! [`receiver`], [`seed`] and [`signature`] are what the tests share.

mod api;
mod lambda_runtime;
mod process;
mod program;
mod receiver;
mod seed;
mod signature;

mod answer_sizes;
mod api_rules;
mod attempts_are_recorded;
mod cursors;
mod data_folder;
mod delivery_on_the_wire;
mod documented_commands;
mod documented_receivers;
mod endpoint_policy;
mod example_receivers;
mod fan_out;
mod file_descriptors;
mod hostile_receivers;
mod hostile_users;
mod idempotency;
mod lambda_functions;
mod large_fan_out;
mod local_runner;
mod managing_webhooks;
mod manual_retry;
mod nothing_is_lost;
mod nothing_secret_is_printed;
mod openapi;
mod payload_bytes;
mod problems;
mod publish_limit;
mod queue_producers;
mod quotas;
mod rate_limit;
mod read_units;
mod recovery;
mod retry_after;
mod retry_schedule;
mod rotation;
mod simulated_day;
mod slow_name_servers;
mod tenancy;
mod test_deliveries;
mod the_receiver;
mod throttled;
mod token_revocation;
mod unattempted;
mod validation;
