//! Tests of the command line `hookline`, through its binary.

mod completions;
mod demo;
mod failures;
mod listen;
mod listen_endings;
mod listen_kills;
mod listen_latency;
mod listen_names;
mod listen_recovery;
mod listen_retries;
mod listen_usage;
mod login;
mod operate_credentials;
mod resources;
mod routes;
mod tail;
mod terminal;
mod trigger;
mod verify;
mod webhooks;
