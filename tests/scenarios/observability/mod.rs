//! The alarms and the saved queries of `template.yaml`, over the log lines that the functions write.
//!
//! | module | holds |
//! |---|---|
//! | [`alarms`] | for each alarm on our own metrics, what sets it off and what does not |
//! | [`cloudwatch`] | a stand-in for CloudWatch: metrics from log lines, and when an alarm goes off |
//! | [`queries`] | each saved query, over the whole life of events |
//! | [`errors`] | the saved query of errors, over errors of every function |
//! | [`insights`] | a stand-in for CloudWatch Logs Insights |
//! | [`expression`] | the expressions of both |
//! | [`deployed`] | values of the template, as they are with the defaults of its parameters |

mod alarms;
mod cloudwatch;
mod deployed;
mod errors;
mod expression;
mod insights;
mod queries;
