//! Chance: everything that a run leaves open is decided by dice that its seed has loaded.

use std::sync::{Arc, Mutex, PoisonError};

use hookline::random::Random;

/// A seeded source of decisions. The same seed and the same questions give the same answers.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Dice of their own, so that their questions do not shift these dice's answers.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.with(|rng| rng.u64(..)))
    }

    /// At least `low`, at most `high`.
    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        self.with(|rng| rng.i64(low..=high))
    }

    /// True so many times in a thousand.
    pub(crate) fn permille(&self, chance: u32) -> bool {
        self.with(|rng| rng.u32(0..1000)) < chance
    }

    /// One of `choices`, which is not empty.
    pub(crate) fn pick<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[self.with(|rng| rng.usize(0..choices.len()))]
    }

    /// One of `choices`, each as often as its weight says; not all weights are 0.
    pub(crate) fn weighted<T: Copy>(&self, choices: &[(T, u32)]) -> T {
        let total = choices.iter().map(|(_, weight)| weight).sum();
        let mut at = self.with(|rng| rng.u32(0..total));
        for (choice, weight) in choices {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *choice,
            }
        }
        unreachable!("the weights add up to the total")
    }

    pub(crate) fn shuffle<T>(&self, items: &mut [T]) {
        self.with(|rng| rng.shuffle(items));
    }

    /// The product's own source of randomness, drawn from these dice.
    pub(crate) fn into_random(self) -> Random {
        let dice = Arc::new(self);
        Random::new(move |bytes| dice.with(|rng| rng.fill(bytes)))
    }

    fn with<T>(&self, ask: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
