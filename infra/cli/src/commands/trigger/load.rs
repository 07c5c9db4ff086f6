//! Publishing an event many times: in batches, several at once, at a rate.

use super::{super::idempotency_key, Session, latencies::Latencies};
use crate::{
    client::{
        Answer, Client, Error,
        error::Problem,
        events::{BatchResult, EventBatch, NewEvent, NewEventBatch},
    },
    ends::Ends,
    output::text::visible,
};
use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use std::{
    io::{self, IsTerminal, Write},
    num::NonZeroU32,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::time::{Interval, MissedTickBehavior};

/// The most events of a batch, and the most bytes of all its events.
const BATCH_MAX: u32 = 100;
const BATCH_BYTES_MAX: usize = 2 << 20;
/// The most requests under way at once.
const CONCURRENCY: usize = 8;
/// How many batches a second a rate is divided into.
const BATCHES_A_SECOND: u32 = 10;
/// How often the progress is shown anew.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// Publishes `event` `count` times, at most `rate` a second. Ctrl-C and SIGTERM end it early.
pub(super) async fn publish(
    session: &Session,
    event: NewEvent,
    count: u32,
    rate: Option<NonZeroU32>,
) -> anyhow::Result<ExitCode> {
    let batch = batch_size(serde_json::to_string(&event)?.len(), rate);
    let mut pace = rate.map(|rate| pace(batch, rate));
    let mut run = Run::new(count);
    let (mut left, mut under_way) = (count, FuturesUnordered::new());
    let (mut ends, mut interrupted) = (Ends::listen()?, false);
    let mut shown = tokio::time::interval(SHOWN_EVERY);
    while (left > 0 && !interrupted) || !under_way.is_empty() {
        let may_start = left > 0 && !interrupted && under_way.len() < CONCURRENCY;
        tokio::select! {
            () = next_slot(&mut pace), if may_start => {
                let size = left.min(batch);
                left -= size;
                under_way.push(send(&session.client, &event, size));
            }
            Some(sent) = under_way.next() => {
                if let Err(problem) = run.add(sent) {
                    run.hide();
                    return Err(problem);
                }
            }
            _ = shown.tick() => run.show(),
            () = ends.next() => {
                // A second one does not wait for the requests under way.
                if interrupted {
                    break;
                }
                interrupted = true;
                run.hide();
                eprintln!("Stopping once {} requests are answered; Ctrl-C again does not wait.", under_way.len());
            }
        }
    }
    run.hide();
    run.report(session)
}

/// One batch that was sent.
struct Sent {
    size: u32,
    took: Duration,
    answer: Result<Answer<EventBatch>, Error>,
}

async fn send(client: &Client, event: &NewEvent, size: u32) -> Sent {
    let body = NewEventBatch { events: vec![event.clone(); size as usize] };
    let start = Instant::now();
    let answer = client.publish_events(&body, &idempotency_key()).await;
    Sent { size, took: start.elapsed(), answer }
}

/// How many events a batch has.
fn batch_size(event_bytes: usize, rate: Option<NonZeroU32>) -> u32 {
    let by_bytes = u32::try_from(BATCH_BYTES_MAX / event_bytes.max(1)).unwrap_or(u32::MAX);
    let by_rate = rate.map_or(BATCH_MAX, |rate| rate.get() / BATCHES_A_SECOND);
    BATCH_MAX.min(by_bytes).min(by_rate).max(1)
}

/// When the next batch may be sent.
fn pace(batch: u32, rate: NonZeroU32) -> Interval {
    let mut pace = tokio::time::interval(Duration::from_secs(1) * batch / rate.get());
    // What was late is not caught up in a burst, so that the rate is never exceeded.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

async fn next_slot(pace: &mut Option<Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}

/// How far a run is.
struct Run {
    count: u32,
    accepted: u32,
    failed: u32,
    latencies: Latencies,
    start: Instant,
    /// Why the first batch failed that did.
    first_failure: Option<String>,
    on_terminal: bool,
}

impl Run {
    fn new(count: u32) -> Self {
        Self {
            count,
            accepted: 0,
            failed: 0,
            latencies: Latencies::default(),
            start: Instant::now(),
            first_failure: None,
            on_terminal: io::stderr().is_terminal(),
        }
    }

    /// Counts a batch.
    ///
    /// # Errors
    /// The API refuses the event, or the request, so that all others would be refused as well.
    fn add(&mut self, sent: Sent) -> anyhow::Result<()> {
        match sent.answer {
            Ok(answer) => {
                self.latencies.add(sent.took);
                let refused = answer.value.data.iter().find_map(|result| match result {
                    BatchResult::Refused(problem) => Some(refusal(problem)),
                    BatchResult::Published(_) => None,
                });
                let published = |result: &&BatchResult| matches!(result, BatchResult::Published(_));
                let accepted = u32::try_from(answer.value.data.iter().filter(published).count()).unwrap_or(u32::MAX);
                if let (0, Some(refused)) = (self.accepted + accepted, &refused) {
                    anyhow::bail!("the event was refused: {refused}");
                }
                self.accepted += accepted;
                self.failed += sent.size.saturating_sub(accepted);
                self.first_failure = self.first_failure.take().or(refused);
            }
            Err(error) if error.is_passing() => {
                self.failed += sent.size;
                self.first_failure.get_or_insert_with(|| error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Shows the progress on a terminal, in one line that is written anew.
    fn show(&self) {
        if self.on_terminal {
            let Self { count, accepted, failed, .. } = self;
            let failed = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
            eprint!("\r\x1b[K{accepted} of {count}{failed}, {:.0}/s", self.rate());
            io::stderr().flush().ok();
        }
    }

    /// Removes the line of the progress.
    fn hide(&self) {
        if self.on_terminal {
            eprint!("\r\x1b[K");
        }
    }

    /// Accepted events a second.
    fn rate(&self) -> f64 {
        f64::from(self.accepted) / self.start.elapsed().as_secs_f64().max(0.001)
    }

    fn report(mut self, session: &Session) -> anyhow::Result<ExitCode> {
        let seconds = self.start.elapsed().as_secs_f64();
        let rate = self.rate();
        let [p50, p99] = [50, 99].map(|percent| self.latencies.percentile_ms(percent));
        let Self { count, accepted, failed, .. } = self;
        let unsent = count - accepted - failed;
        if session.out.json {
            let report = json!({
                "accepted": accepted, "failed": failed, "not_sent": unsent, "seconds": seconds, "p50_ms": p50, "p99_ms": p99,
            });
            session.out.line(&report.to_string())?;
        } else {
            let not_sent = if unsent > 0 { format!(", {unsent} not sent or not answered") } else { String::new() };
            session.out.line(&format!(
                "accepted {accepted} of {count}, {failed} failed{not_sent}, in {seconds:.1} s ({rate:.0}/s)"
            ))?;
            if let (Some(p50), Some(p99)) = (p50, p99) {
                session.out.line(&format!("answer to a batch: p50 {p50} ms, p99 {p99} ms"))?;
            }
        }
        if let Some(failure) = self.first_failure {
            eprintln!("the first failure: {failure}");
        }
        Ok(if accepted == count { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A problem in one line.
fn refusal(problem: &Problem) -> String {
    let faults: Vec<_> = problem.errors.iter().map(ToString::to_string).collect();
    let faults = if faults.is_empty() { String::new() } else { format!(" ({})", faults.join("; ")) };
    format!("{}{faults}", visible(&problem.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fits_the_limits_and_the_rate() {
        let rate = |rate| NonZeroU32::new(rate);
        assert_eq!(batch_size(200, None), 100);
        assert_eq!(batch_size(256 << 10, None), 8);
        assert_eq!(batch_size(200, rate(50)), 5);
        assert_eq!(batch_size(200, rate(3)), 1);
        assert_eq!(batch_size(200, rate(100_000)), 100);
        assert_eq!(batch_size(usize::MAX, rate(1)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_keep_to_the_rate() {
        let rate = NonZeroU32::new(50).expect("a rate");
        let mut pace = pace(batch_size(200, Some(rate)), rate);
        let start = tokio::time::Instant::now();
        for _ in 0..11 {
            pace.tick().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1), "ten batches of five follow the first within a second");
    }
}
