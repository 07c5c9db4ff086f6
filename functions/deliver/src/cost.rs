//! What each task costs, and the log lines that say so.
//!
//! | what | belongs to |
//! |---|---|
//! | the DynamoDB calls of a task, and the bytes that it sends | the task |
//! | the reads that the tasks of a batch share | all of them, in equal parts |
//! | each moment of the invocation | the tasks that have not ended, in equal parts |
//! | reads for a batch that fail, the time after the last task | no task: one line for the invocation |
//!
//! The parts add up exactly ([`domain::cost`]). A task that is cut off, because its function's time is up, has no line.

use domain::cost::{Cost, TimeShares, US_EAST_1, Usage};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use telemetry::metrics::{self, AttemptLine};
use tokio::time::Instant;

/// The memory of `deliver` in the template, in MB.
pub(crate) const MEMORY_MB: u32 = 256;
/// The shortest time without a task for which there is a line.
const REST_MIN_US: u64 = 1000;

/// The attempt that was made for a task.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) line: AttemptLine,
    pub(crate) bytes_sent: u64,
}

/// Where the handling of a task leaves the attempt that it made. It stays there if what follows fails.
pub(crate) type MadeSlot = OnceLock<Made>;

/// One invocation of the function.
#[derive(Debug)]
pub(crate) struct Invocation {
    began: Instant,
    memory_mb: u32,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    time: TimeShares,
    /// What belongs to no task.
    rest: Usage,
}

impl Invocation {
    pub(crate) fn new(memory_mb: u32) -> Self {
        let state = State { time: TimeShares::among(0), rest: Usage::NONE };
        Self { began: Instant::now(), memory_mb, state: Mutex::new(state) }
    }

    /// Divides `shared`, and the time from the beginning on, among `tasks`. Returns the share of each in `shared`.
    pub(crate) fn divide(&self, shared: Usage, tasks: usize) -> impl Iterator<Item = Usage> {
        self.state().time = TimeShares::among(tasks);
        shared.divided(tasks)
    }

    /// Notes what belongs to no task.
    pub(crate) fn add_rest(&self, usage: Usage) {
        self.state().rest += usage;
    }

    /// Ends a task that used `usage`, and logs what it cost, with its attempt if one was made.
    pub(crate) fn end_task(&self, mut usage: Usage, made: Option<&Made>) {
        usage.lambda_us += self.state().time.end(self.elapsed_us());
        match made {
            Some(Made { line, bytes_sent }) => {
                usage.bytes_sent += bytes_sent;
                metrics::attempt(line, &self.cost(usage));
            }
            None => metrics::no_attempt(&self.cost(usage)),
        }
    }

    /// Ends the invocation, and logs what belongs to no task, unless that is next to nothing.
    pub(crate) fn end(self) {
        let State { time, mut rest } = *self.state();
        rest.lambda_us += self.elapsed_us().saturating_sub(time.divided_us());
        if rest.read_milliunits + rest.write_milliunits > 0 || rest.lambda_us >= REST_MIN_US {
            metrics::no_task(&self.cost(rest));
        }
    }

    fn cost(&self, usage: Usage) -> Cost {
        US_EAST_1.cost(usage, self.memory_mb)
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
