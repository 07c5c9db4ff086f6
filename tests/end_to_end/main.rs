//! Hookline, end to end: the behaviour that its API and its documents promise, tested over HTTP.
//!
//! Most tests run against a process of `local` of their own, or against the deployed stack that
//! `HOOKLINE_URL` and `HOOKLINE_TOKEN` name (see [`harness::stack`]). Where time or AWS has to be
//! controlled, the test runs the functions' handlers on the embedded AWS (see [`harness::world`]).

mod harness;

mod api;
mod cli;
mod delivery;
mod operation;
mod publishing;
mod receivers;
mod signatures;
