//! What AWS holds a deployment to and the embedded AWS does not: the grants of `template.yaml`, what each function's
//! properties there say of it, and the services' limits. Tests ask it about each request.
//!
//! | file | holds |
//! |---|---|
//! | `template.rs` | `template.yaml` as JSON |
//! | `call.rs` | a request of the SDK's, as the services see it |
//! | `stack.rs` | what the template says of each function |
//! | `grants.rs` | IAM: what a function's role allows |
//! | `limits.rs` | sizes and counts that the services refuse |
//! | `record.rs` | requests written down, for AWS's own models to judge |
//! | `strict.rs` | all of it between the SDK and an AWS that is kinder |
//! | `lambda.rs` | a function's real binary on it |
//! | `local.rs` | the local process, held to it |

pub mod call;
pub mod grants;
pub mod lambda;
pub mod limits;
pub mod record;
pub mod stack;
pub mod strict;
pub mod template;
