//! Randomness: names that no other test uses, and random choices that one printed seed reproduces.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// 32 random hexadecimal digits.
pub(crate) fn random_hex() -> String {
    hex::encode(random_bytes::<16>())
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// The seed of a test: `HOOKLINE_SEED` if it is set, otherwise a random number.
#[derive(Clone, Copy)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn from_environment() -> Self {
        let given = std::env::var("HOOKLINE_SEED").ok();
        let random = || u64::from_ne_bytes(random_bytes());
        Self(given.map_or_else(random, |text| text.parse().expect("HOOKLINE_SEED is a whole number")))
    }

    /// One of the independent sequences that follow from the seed.
    pub(crate) fn stream(self, number: u64) -> Stream {
        Stream(AtomicU64::new(self.0 ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93)))
    }
}

/// The environment variable that repeats the run.
impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HOOKLINE_SEED={}", self.0)
    }
}

/// A sequence of random numbers: `SplitMix64`.
pub(crate) struct Stream(AtomicU64);

impl Stream {
    /// The next number, less than `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
