//! The search for what a signature was made of: a body, a key, the text around the body, and an algorithm. Combinations with fewer
//! mistakes come first. Only a combination that reproduces the signature is an answer. The work is bounded.

use super::{
    bodies::Body,
    change::{Candidate, Change},
    evidence::Holder,
    keys::Keying,
};
use crate::signature::hmac_sha256;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use std::ops::ControlFlow;

/// The most bytes that one diagnosis hashes.
pub const HASHED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most combinations that one diagnosis tries.
pub const COMBINATIONS_MAX: usize = 10_000;
/// The most mistakes of one combination.
const MISTAKES_MAX: usize = 2;

/// What is left of the work that a diagnosis may do.
#[derive(Clone, Debug)]
pub(super) struct Work {
    bytes: usize,
    combinations: usize,
    pub(super) is_used_up: bool,
}

impl Default for Work {
    fn default() -> Self {
        Self { bytes: HASHED_BYTES_MAX, combinations: COMBINATIONS_MAX, is_used_up: false }
    }
}

impl Work {
    /// Returns half of what is left: what one search may use, so that others have some, too.
    fn half(&self) -> Self {
        Self { bytes: self.bytes / 2, combinations: self.combinations / 2, is_used_up: false }
    }

    /// Takes away what a search has used, of which it has left `rest` of `given`.
    fn subtract(&mut self, given: &Self, rest: &Self) {
        self.bytes -= given.bytes - rest.bytes;
        self.combinations -= given.combinations - rest.combinations;
        self.is_used_up |= rest.is_used_up;
    }

    /// Takes the work of one combination, if enough is left.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes).zip(self.combinations.checked_sub(1));
        match left {
            Some((bytes, combinations)) => (self.bytes, self.combinations) = (bytes, combinations),
            None => self.is_used_up = true,
        }
        left.is_some()
    }
}

/// A key, and whose secret it comes from.
#[derive(Clone, Debug)]
pub(super) struct SignerKey {
    pub(super) key: Candidate<Vec<u8>>,
    pub(super) holder: Holder,
}

/// What is signed before and after the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    /// The timestamp, if it is part of the header's value.
    pub(super) timestamp: String,
    /// Whether it is that of `webhook-signature`.
    pub(super) is_standard: bool,
    /// How the key follows from the secret.
    pub(super) keying: Keying,
}

/// An algorithm that makes a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    HmacSha256,
    HmacSha512,
    /// Without a key.
    Sha256,
    /// Of the key and the text, one after the other.
    Sha256OfKeyAndText,
}

impl Algorithm {
    fn sign(self, key: &[u8], parts: [&[u8]; 3]) -> Vec<u8> {
        match self {
            Self::HmacSha256 => hmac_sha256(key, &parts).to_vec(),
            Self::HmacSha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC accepts a key of any length");
                for part in parts {
                    mac.update(part);
                }
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha256 => Sha256::digest(parts.concat()).to_vec(),
            Self::Sha256OfKeyAndText => Sha256::digest([key, &parts.concat()].concat()).to_vec(),
        }
    }
}

/// What a signature may be made of.
#[derive(Debug)]
pub(super) struct Space<'a> {
    pub(super) bodies: &'a [Body],
    /// The keys by the secrets' text, and those of `webhook-signature`.
    pub(super) keys: [&'a [SignerKey]; 2],
    pub(super) around: &'a [Candidate<Around>],
    pub(super) algorithms: &'a [Candidate<Algorithm>],
}

/// The algorithm of all schemes.
pub(super) fn right_algorithm() -> [Candidate<Algorithm>; 1] {
    [Candidate::as_is(Algorithm::HmacSha256)]
}

/// What a signature was made of.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) holder: Holder,
    pub(super) around: Around,
    /// The body that was signed.
    pub(super) body: Vec<u8>,
    /// What is wrong with the text of the signature, its content, its algorithm and its key. Nothing if the signature holds.
    pub(super) changes: Vec<Change>,
    /// What happened to the body since.
    pub(super) body_changes: Vec<Change>,
}

impl Found {
    /// How many things happened.
    fn count(&self) -> usize {
        self.changes.len() + self.body_changes.len()
    }

    /// Whether the signature holds.
    pub(super) fn holds(&self) -> bool {
        self.changes.is_empty() && self.body_changes.is_empty()
    }
}

/// Compares a signature as it was written with one that was computed: its place, its bytes, and what it was made around. Returns what
/// happened to the text, or `None` if they differ.
pub(super) type Reader<'a> = dyn Fn(usize, &[u8], &Around) -> Option<Vec<Change>> + 'a;

/// Looks for what each of `count` signatures was made of. Of several answers, one with the fewest changes is returned.
pub(super) fn find(space: &Space<'_>, count: usize, read: &Reader<'_>, work: &mut Work) -> Vec<Option<Found>> {
    let mut found: Vec<Option<Found>> = vec![None; count];
    let given = work.half();
    let mut rest = given.clone();
    for mistakes in 0..=MISTAKES_MAX {
        let mut try_combination = |combination: Combination<'_>| {
            // No other combination can be a better answer than one without a further change of the text.
            let is_best = |place: &Option<Found>| place.as_ref().is_some_and(|found| found.count() <= mistakes);
            if found.iter().all(is_best) || !rest.take(combination.length()) {
                return ControlFlow::Break(());
            }
            combination.compare(&mut found, read);
            ControlFlow::Continue(())
        };
        let _ = space.each_with(mistakes, &mut try_combination);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    work.subtract(&given, &rest);
    found
}

/// One body, one key, one text around the body and one algorithm.
#[derive(Clone, Copy)]
struct Combination<'a> {
    body: &'a Body,
    signer: &'a SignerKey,
    around: &'a Candidate<Around>,
    algorithm: &'a Candidate<Algorithm>,
}

impl Space<'_> {
    /// Calls `each` with every combination with exactly this number of mistakes, until it breaks.
    fn each_with(&self, mistakes: usize, each: &mut impl FnMut(Combination<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let left = |left: usize, is_changed: bool| left.checked_sub(usize::from(is_changed));
        for algorithm in self.algorithms {
            let Some(left_of_around) = left(mistakes, algorithm.is_changed()) else { continue };
            for around in self.around {
                let Some(left_of_key) = left(left_of_around, around.is_changed()) else { continue };
                for signer in self.keys[usize::from(around.value.keying == Keying::Standard)] {
                    let Some(left_of_body) = left(left_of_key, signer.key.is_changed()) else { continue };
                    for body in self.bodies.iter().filter(|body| usize::from(body.is_changed()) == left_of_body) {
                        each(Combination { body, signer, around, algorithm })?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Combination<'_> {
    fn parts(&self) -> [&[u8]; 3] {
        [&self.around.value.before, &self.body.value, &self.around.value.after]
    }

    /// Returns how many bytes are hashed.
    fn length(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum::<usize>() + self.signer.key.value.len()
    }

    /// Compares every signature with that of this combination.
    fn compare(&self, found: &mut [Option<Found>], read: &Reader<'_>) {
        let Self { body, signer, around, algorithm } = self;
        let mac = algorithm.value.sign(&signer.key.value, self.parts());
        for (index, place) in found.iter_mut().enumerate() {
            let Some(mut changes) = read(index, &mac, &around.value) else { continue };
            changes.extend([&around.changes, &algorithm.changes, &signer.key.changes].into_iter().flatten().cloned());
            let new = Found {
                holder: signer.holder,
                around: around.value.clone(),
                body: body.value.clone(),
                changes,
                body_changes: body.changes.clone(),
            };
            if place.as_ref().is_none_or(|old| new.count() < old.count()) {
                *place = Some(new);
            }
        }
    }
}
