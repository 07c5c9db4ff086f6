//! The alarms and the saved queries of `template.yaml`, over the log lines that the functions write.
//!
//! | module | holds |
//! |---|---|
//! | [`alarms`] | for each alarm on our own metrics, what sets it off |
//! | [`cloudwatch`] | a stand-in for CloudWatch: metrics from log lines, and when an alarm goes off |
//! | [`queries`] | each saved query, over the whole life of events |
//! | [`insights`] | a stand-in for CloudWatch Logs Insights |

mod alarms;
mod cloudwatch;
mod insights;
mod queries;
