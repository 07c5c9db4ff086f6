//! Randomness as a value. Ids, secrets, leases and jitter use this one source.

use std::{fmt, sync::Arc};

/// A source of random bytes. All clones use the same source.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn(&mut [u8]) + Send + Sync>);

impl Random {
    /// Returns the source of the operating system.
    ///
    /// # Panics
    /// The source panics if the operating system has no random bytes, because no secret or id would be safe.
    pub fn system() -> Self {
        Self::new(|bytes| getrandom::fill(bytes).expect("the operating system has random bytes"))
    }

    /// Creates a source from `fill`, which fills a slice with random bytes. A simulation uses a seeded one.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// Returns a random number of 128 bits.
    pub fn number(&self) -> u128 {
        u128::from_le_bytes(self.bytes())
    }

    /// Returns a random number that is at least 0 and less than 1.
    pub fn share(&self) -> f64 {
        let bits = u64::from_le_bytes(self.bytes()) >> 11; // 53 bits, which an f64 represents exactly
        #[allow(clippy::cast_precision_loss, reason = "an f64 represents 53 bits exactly")]
        let share = bits as f64 / (1_u64 << 53) as f64;
        share
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_at_least_0_and_less_than_1() {
        assert!(Random::new(|bytes| bytes.fill(0)).share().abs() < f64::EPSILON);
        let most = Random::new(|bytes| bytes.fill(0xff)).share();
        assert!(most < 1.0 && most > 0.999_999);
    }
}
