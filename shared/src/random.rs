//! Randomness as a value: the one source that ids, secrets, leases and jitter draw from.

use std::{fmt, sync::Arc};

/// A source of random bytes. Cloned freely; every clone draws from the same source.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn(&mut [u8]) + Send + Sync>);

impl Random {
    /// The operating system's source.
    ///
    /// # Panics
    /// Where the operating system has no randomness to give: nothing could be signed or named safely then.
    pub fn system() -> Self {
        Self::new(|bytes| getrandom::fill(bytes).expect("the operating system gives random bytes"))
    }

    /// A source that fills bytes with `fill`: seeded, in a simulation.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// A random number of 128 bits.
    pub fn number(&self) -> u128 {
        u128::from_le_bytes(self.bytes())
    }

    /// A random share: at least 0, less than 1.
    pub fn share(&self) -> f64 {
        let bits = u64::from_le_bytes(self.bytes()) >> 11; // the 53 bits that an f64 holds exactly
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
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
    fn a_share_lies_in_the_half_open_unit_interval() {
        assert!(Random::new(|bytes| bytes.fill(0)).share().abs() < f64::EPSILON);
        let most = Random::new(|bytes| bytes.fill(0xff)).share();
        assert!(most < 1.0 && most > 0.999_999);
    }
}
