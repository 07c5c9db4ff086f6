//! What the tests share: the stack under test, a client of its API, receivers, and Hookline under a
//! simulated clock.

pub(crate) mod cargo;
pub(crate) mod client;
pub(crate) mod functions;
pub(crate) mod hookline;
pub(crate) mod meter;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod receiver;
pub(crate) mod router;
pub(crate) mod signature;
pub(crate) mod stack;
pub(crate) mod stage;
pub(crate) mod world;
