//! The kinds of faults. Each kind is counted over all seeds. Each fault is recorded with the
//! invocation that it hit, because only a recorded fault excuses a repeated attempt.

use std::collections::BTreeMap;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),+];
        }
    };
}

kinds! {
    // AWS calls
    /// AWS answered with an error and the call had no effect.
    ErrorBefore,
    /// AWS answered with an error although the call took effect.
    ErrorAfter,
    /// AWS throttled the call.
    Throttled,
    /// No answer in time, and the call had no effect.
    TimeoutBefore,
    /// No answer in time, but the call took effect.
    TimeoutAfter,
    /// The connection broke before the call arrived.
    ResetBefore,
    /// The connection broke before the answer arrived.
    ResetAfter,
    /// The answer took 0.5 s to 20 s.
    Slow,
    /// No answer at all, or an invocation that lasted longer than the function's timeout.
    Hang,
    /// The process died before the call arrived.
    CrashBefore,
    /// The process died before the answer arrived.
    CrashAfter,
    /// `BatchGetItem` left keys unprocessed.
    KeysUnprocessed,
    /// `SendMessageBatch` refused entries.
    EntriesFailed,
    /// A partition had no units left in this second.
    PartitionThrottled,
    /// `BatchGetItem` left some or all keys unprocessed, because their partitions had no units left
    /// in this second.
    KeysThrottled,
    /// `SendMessageBatch` refused entries that exceeded the limit of the queue in this second.
    EntriesThrottled,
    /// A read that need not be consistent was answered with an older item.
    StaleRead,
    /// The first call after a freeze used a dead connection.
    DeadConnection,
    // Messages and schedules
    /// An event source mapping handed over a batch late.
    MappingLagged,
    /// Lambda throttled the invocation for a batch. Its messages return after their visibility
    /// timeout.
    MappingThrottled,
    /// A message was handed over twice.
    MessageDuplicated,
    /// A message was handed over late, while its visibility timeout ran.
    MessageLate,
    /// Messages were handed over in another order.
    MessagesShuffled,
    /// A handled message was not deleted.
    DeleteLost,
    /// A message became visible again while it was being handled.
    VisibilityExpired,
    /// A message reached a dead-letter queue.
    DeadLettered,
    /// A schedule fired late.
    ScheduleLate,
    /// A schedule fired twice.
    ScheduleDuplicated,
    /// A try of an asynchronous invocation failed.
    AsyncFailed,
    /// Lambda gave up an asynchronous invocation after its last try.
    AsyncDiscarded,
    // Processes
    /// A process died before its first event.
    InitFailed,
    /// A process with a wrong clock started.
    ClockSkewed,
    /// A process died between a receiver's answer and the record of the attempt.
    CrashAfterPost,
    // Receivers
    /// 301, or a 4xx other than those below.
    ClientError,
    /// 5xx.
    ServerError,
    /// 410.
    Gone,
    /// 429 or 503 with `Retry-After`.
    RetryAfter,
    /// No answer, or none in time.
    ReceiverHung,
    /// The connection broke after the request had arrived.
    ReceiverReset,
    /// No connection.
    ReceiverRefused,
    /// A receiver's name had no address, or a forbidden one.
    BadAddress,
    /// A receiver began to fail every request, for a minute to five hours.
    ReceiverDown,
}

/// One fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at_ms: i64,
    pub(crate) kind: Kind,
    /// The invocation that it hit, if it hit one.
    pub(crate) invocation: Option<u64>,
    /// What it was about: a table with a key, a queue, a schedule, a receiver's host.
    pub(crate) subject: String,
}

/// How often each kind has happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(BTreeMap<Kind, u64>);

impl Counts {
    pub(crate) fn add(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_default() += count;
        }
    }

    /// Returns how often `kind` has happened.
    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Returns the kinds that have never happened.
    pub(crate) fn missing(&self) -> Vec<Kind> {
        Kind::ALL.iter().copied().filter(|kind| self.of(*kind) == 0).collect()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for kind in Kind::ALL {
            writeln!(f, "{:>10}  {kind:?}", self.of(*kind))?;
        }
        Ok(())
    }
}
