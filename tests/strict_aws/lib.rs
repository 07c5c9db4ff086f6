//! Checks that AWS makes and the embedded AWS does not: the grants of `template.yaml`, the
//! functions' properties there, and the services' limits. Tests check every request with it.
//!
//! | file | holds |
//! |---|---|
//! | `template.rs` | `template.yaml` as JSON |
//! | `call.rs` | requests of the SDK, and AWS's error responses |
//! | `stack.rs` | each function's properties in the template |
//! | `grants.rs` | IAM: what roles grant and what calls need |
//! | `limits.rs` | the services' limits on sizes and counts |
//! | `record.rs` | records requests, to be checked against AWS's own models |
//! | `strict.rs` | makes all checks between the SDK and an AWS |
//! | `lambda.rs` | runs a function's real binary on the strict AWS |
//! | `local.rs` | the local process on the strict AWS |

pub mod call;
pub mod grants;
pub mod lambda;
pub mod limits;
pub mod record;
pub mod stack;
pub mod strict;
pub mod template;
