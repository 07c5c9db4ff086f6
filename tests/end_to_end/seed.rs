//! Chance that can be had again: every moment and choice of a test follows from one number, which it prints.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number, `HOOKLINE_SEED` or one of its own.
#[derive(Clone, Copy)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn from_environment() -> Self {
        let given = std::env::var("HOOKLINE_SEED").ok();
        Self(given.map_or_else(random, |text| text.parse().expect("HOOKLINE_SEED is a whole number")))
    }

    /// One of the independent sequences that follow from the seed.
    pub(crate) fn stream(self, number: u64) -> Stream {
        Stream(AtomicU64::new(self.0 ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93)))
    }
}

/// What to run for the same once more.
impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HOOKLINE_SEED={}", self.0)
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u64::from_ne_bytes(bytes)
}

/// A sequence of numbers: `SplitMix64`.
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
