//! Reproducible randomness from one printed seed.

use std::sync::{Arc, Mutex, PoisonError};

use domain::random::Random;

/// A seeded random generator. The same seed and the same sequence of calls give the same values.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Returns dice with a seed of their own, so that their use does not change the values that
    /// these dice draw.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.with(|rng| rng.u64(..)))
    }

    /// Draws a number from `low` to `high`, both included.
    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        self.with(|rng| rng.i64(low..=high))
    }

    /// Draws `true` with a chance of `chance` in a thousand.
    pub(crate) fn permille(&self, chance: u32) -> bool {
        self.with(|rng| rng.u32(0..1000)) < chance
    }

    /// Draws one of `choices`, which must not be empty.
    pub(crate) fn pick<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[self.with(|rng| rng.usize(0..choices.len()))]
    }

    /// Draws one of `choices` with a chance proportional to its weight. One weight at least must
    /// not be 0.
    pub(crate) fn weighted<T: Copy>(&self, choices: &[(T, u32)]) -> T {
        let total = choices.iter().map(|(_, weight)| weight).sum();
        let mut rest = self.with(|rng| rng.u32(0..total));
        for (choice, weight) in choices {
            match rest.checked_sub(*weight) {
                Some(after) => rest = after,
                None => return *choice,
            }
        }
        unreachable!("the weights add up to the total")
    }

    pub(crate) fn shuffle<T>(&self, items: &mut [T]) {
        self.with(|rng| rng.shuffle(items));
    }

    /// Returns Hookline's own source of randomness, which draws from these dice.
    pub(crate) fn into_random(self) -> Random {
        let dice = Arc::new(self);
        Random::new(move |bytes| dice.with(|rng| rng.fill(bytes)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
