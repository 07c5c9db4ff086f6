//! The log lines of the functions, as CloudWatch Logs gets them.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tracing::Dispatch;

/// The name of the stack that writes the lines.
pub(crate) const STACK: &str = "hookline";

/// Which lines a function writes. What stands for AWS is not a part of it, and has no connections that the SDK could close.
const FILTER: &str = "info,local=off,embedded_aws=off,aws_smithy_runtime::client::http::connection_poisoning=off";

/// A line of a function's log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// When it was written, since the world's start.
    pub(crate) at: Duration,
    /// The function: `api`, `publish`, `deliver` or `retry`.
    pub(crate) function: &'static str,
    /// The line.
    pub(crate) text: String,
    /// The line as JSON.
    pub(crate) json: Value,
}

impl Line {
    /// The name of the log group.
    pub(crate) fn group(&self) -> String {
        format!("/aws/lambda/{STACK}-{}", self.function)
    }
}

/// All lines so far. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    lines: Arc<Mutex<Vec<Line>>>,
    began: Instant,
}

impl Logs {
    pub(crate) fn new(began: Instant) -> Self {
        Self { lines: Arc::default(), began }
    }

    /// Returns the subscriber of a function, which logs as in Lambda.
    pub(crate) fn of(&self, function: &'static str) -> Dispatch {
        let logs = self.clone();
        let writer = move || Writer { logs: logs.clone(), function };
        telemetry::log::subscriber(FILTER.parse().expect("a filter"), Some(format!("{STACK}-{function}")), writer)
            .into()
    }

    /// Adds a line that a function, or Lambda in its name, has written.
    pub(crate) fn add(&self, function: &'static str, text: &str) {
        let json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let line = Line { at: self.began.elapsed(), function, text: text.trim_end().to_owned(), json };
        self.lines.lock().expect("unpoisoned").push(line);
    }

    /// Returns the lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("unpoisoned").clone()
    }
}

struct Writer {
    logs: Logs,
    function: &'static str,
}

impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.logs.add(self.function, &String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
