//! What can go wrong, and what did: each kind is counted over a whole run of seeds, and each fault is noted with whom it
//! hit, so that an excuse for a repeated attempt is a fault that is on record.

use std::collections::BTreeMap;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind there is.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),+];
        }
    };
}

kinds! {
    // Calls of AWS
    /// AWS answered that it failed, and had done nothing.
    ErrorBefore,
    /// AWS answered that it failed, and had done it.
    ErrorAfter,
    /// AWS refused the call for its rate.
    Throttled,
    /// No answer in time, and nothing was done.
    TimeoutBefore,
    /// No answer in time, and it was done.
    TimeoutAfter,
    /// The connection broke before the call arrived.
    ResetBefore,
    /// The connection broke before the answer arrived.
    ResetAfter,
    /// The answer took seconds.
    Slow,
    /// No answer at all: the function's own timeout ends its process.
    Hang,
    /// The process ended before the call arrived.
    CrashBefore,
    /// The process ended before the answer arrived.
    CrashAfter,
    /// `BatchGetItem` left keys unprocessed.
    KeysUnprocessed,
    /// `SendMessageBatch` refused entries.
    EntriesFailed,
    /// A partition of a table takes no more in this second.
    PartitionThrottled,
    /// `BatchGetItem` left keys whose partitions take no more in this second, perhaps all.
    KeysThrottled,
    /// `SendMessageBatch` refused what came on top of what the queue takes in a second.
    EntriesThrottled,
    /// A read that need not be consistent was answered with what was.
    StaleRead,
    /// The first call after a freeze went to a connection that was dead.
    DeadConnection,
    // Messages and schedules
    /// A mapping handed a batch over seconds after its receipt.
    MappingLagged,
    /// Lambda refused a batch: its messages come again after their visibility timeout.
    MappingThrottled,
    /// A message was handed over twice.
    MessageTwice,
    /// A message was handed over late, with its visibility timeout running.
    MessageLate,
    /// Messages were handed over in another order.
    MessagesShuffled,
    /// A handled message was not deleted.
    DeleteLost,
    /// A message became visible again while it was being handled.
    VisibilityOver,
    /// A message came to lie in a dead-letter queue.
    DeadLettered,
    /// A schedule fired late.
    ScheduleLate,
    /// A schedule fired twice.
    ScheduleTwice,
    /// An asynchronous invocation failed, and Lambda tries it again or gives it up.
    AsyncFailed,
    /// Lambda gave up an asynchronous invocation.
    AsyncGivenUp,
    // Processes
    /// A process ended before its first event.
    InitFailed,
    /// A process whose clock is wrong began.
    ClockSkewed,
    /// A process ended between a receiver's answer and its record.
    CrashAfterPost,
    // Receivers
    /// 4xx other than those below.
    ClientError,
    /// 5xx.
    ServerError,
    /// 410.
    Gone,
    /// 429 or 503 with `Retry-After`.
    RetryAfter,
    /// No answer, or none in time.
    ReceiverHung,
    /// The connection broke off after the request had arrived.
    ReceiverReset,
    /// No connection.
    ReceiverRefused,
    /// A receiver's name had no address, or one that must not be reached.
    NameMisled,
    /// A receiver began to fail for hours.
    ReceiverDown,
}

/// One fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at_ms: i64,
    pub(crate) kind: Kind,
    /// Whom it hit, where it hit somebody.
    pub(crate) invocation: Option<u64>,
    /// What the call was about: a table's key, a queue's or a schedule's name.
    pub(crate) subject: String,
}

/// How often each kind happened.
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

    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Kinds that never happened.
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
