//! Sets of texts that a value may begin or end with, and comparison without regard to case.

/// Returns `text` so that two texts that differ in case only become equal. Case is that of Unicode, in no particular language.
pub(super) fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// A set of prefixes: sorted, and without those that begin with another one of the set. So at most one of them is a prefix of a
/// value, and a binary search finds it.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes(Vec<Box<[u8]>>);

impl Prefixes {
    /// Creates the set.
    pub(super) fn new(prefixes: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let mut all: Vec<Box<[u8]>> = prefixes.into_iter().map(|prefix| prefix.into().into_boxed_slice()).collect();
        all.sort();
        all.dedup_by(|later, earlier| later.starts_with(earlier));
        Self(all)
    }

    /// Whether the set is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `value` begins with one of them.
    pub(super) fn begin(&self, value: &[u8]) -> bool {
        let after = self.0.partition_point(|prefix| **prefix <= *value);
        after.checked_sub(1).is_some_and(|last| value.starts_with(&self.0[last]))
    }
}

/// A set of suffixes, which are the prefixes of the reversed value.
#[derive(Clone, Debug, Default)]
pub(super) struct Suffixes {
    reversed: Prefixes,
    longest: usize,
}

impl Suffixes {
    /// Creates the set.
    pub(super) fn new(suffixes: impl IntoIterator<Item = String>) -> Self {
        let reversed: Vec<Vec<u8>> =
            suffixes.into_iter().map(|suffix| suffix.into_bytes().into_iter().rev().collect()).collect();
        let longest = reversed.iter().map(Vec::len).max().unwrap_or(0);
        Self { reversed: Prefixes::new(reversed), longest }
    }

    /// Whether the set is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.reversed.is_empty()
    }

    /// Whether `value` ends with one of them.
    pub(super) fn end(&self, value: &[u8]) -> bool {
        let reversed: Vec<u8> = value.iter().rev().take(self.longest).copied().collect();
        self.reversed.begin(&reversed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_of_affixes_finds_what_trying_each_one_finds(affixes in prop::collection::vec("[abé]{0,3}", 0..8), value in "[abé]{0,6}") {
            let begins = affixes.iter().any(|prefix| value.starts_with(prefix));
            prop_assert_eq!(Prefixes::new(affixes.clone()).begin(value.as_bytes()), begins);
            let ends = affixes.iter().any(|suffix| value.ends_with(suffix));
            prop_assert_eq!(Suffixes::new(affixes).end(value.as_bytes()), ends);
        }
    }

    #[test]
    fn texts_that_differ_in_case_are_equal() {
        for (one, other) in [
            ("EventB", "eVENTb"),
            ("ÄÖÜ", "äöü"),
            ("Ⱥ", "ⱥ"),
            ("ΰ", "\u{3a5}\u{308}\u{301}"),
            ("ΣΑΣ", "σας"),
            ("Straße", "STRASSE"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("a"), folded("ä"));
    }
}
