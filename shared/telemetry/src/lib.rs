//! Log lines and the metrics that they contain.
//!
//! | module | holds |
//! |---|---|
//! | [`log`] | the format of log lines, their level, and the fields of a delivery |
//! | [`metrics`] | the metrics, and the lines that contain them |

pub mod log;
pub mod metrics;
