//! How calls to AWS fail, and the wait before the next try.

use domain::random::Random;
use std::{error::Error, iter, time::Duration};

/// A setting is missing or wrong.
#[derive(Debug, thiserror::Error)]
#[error("{name} {fault}")]
pub struct SettingError {
    name: &'static str,
    fault: String,
}

impl SettingError {
    /// Creates the error: `fault` is a phrase that follows the setting's name.
    pub fn new(name: &'static str, fault: impl ToString) -> Self {
        Self { name, fault: fault.to_string() }
    }
}

/// The longest wait before the second try.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Waits before try number `tries` (from 0) of a batch that AWS handled only in part. Try 0 does not wait, try 1 waits 50 ms,
/// and each further try waits twice as long, up to 3.2 s. Up to half of each wait is subtracted at random, so that callers that
/// were refused together do not retry together.
pub(crate) async fn back_off(random: &Random, tries: u32) {
    if let Some(doublings) = tries.checked_sub(1) {
        let longest = BACK_OFF * (1 << doublings.min(6));
        tokio::time::sleep(longest.mul_f64(1.0 - random.share() / 2.0)).await;
    }
}

/// Whether an SDK error's code says that the service takes no more requests now. A later request may succeed.
pub fn is_throttling(code: Option<&str>) -> bool {
    let codes = [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "KmsThrottled",
    ];
    code.is_some_and(|code| codes.contains(&code))
}

/// Returns an SDK error with all its causes, in one line. The SDK's own formatting adds the raw answer, which may contain an
/// item with a secret.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
