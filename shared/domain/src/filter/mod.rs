//! A webhook's filter: an event pattern that an event's payload must match, as in Amazon EventBridge.
//!
//! The semantics are those of AWS's event-ruler (<https://github.com/aws/event-ruler>). The differences are decided in ADR 23:
//! our own operator `changed`, keys with dots, names that are given twice, and the limits below.
//!
//! | file | holds |
//! |---|---|
//! | `pattern.rs` | reads a pattern, with every fault |
//! | `operators.rs` | reads the values and operators of one field |
//! | `alternatives.rs` | what one field accepts |
//! | `texts.rs`, `wildcard.rs`, `number.rs` | sets of texts, of wildcards, and numbers |
//! | `combinations.rs` | the alternatives that `$or` makes |
//! | `program.rs` | a pattern as a tree of fields that all combinations share |
//! | `document.rs` | a payload as a tree, made once for all patterns |
//! | `matching.rs` | matches a program against a document |
//! | `changed.rs` | our own operator |
//! | `explanation.rs`, `shown.rs` | why an event does not match |
//!
//! # What bounds the work of one match
//!
//! - A match walks the payload once for all combinations of `$or`. It visits a value only if the pattern names its path, and each
//!   value at most once, because a value has one path. There is no search over array elements: each array is judged from the
//!   results of its elements (`matching.rs`).
//! - At one object, the walk looks up the pattern's fields by binary search. A pattern has at most [`LEAVES_MAX`] leaves and
//!   [`COMBINATIONS_MAX`] combinations, so a set of leaves and a set of combinations are one integer each.
//! - At one scalar, texts are found in a set or by binary search. All wildcards of a field advance together, one byte of the value
//!   after the other, without backtracking: a step costs one operation for each 64 bytes of the wildcards (`wildcard.rs`).
//! - `changed` compares two parts of the payload, for each leaf that uses it.
//!
//! Together: at most (values of the payload × leaves) + (bytes of the payload × bytes of the pattern / 64) steps, and one
//! for each remaining operator at each scalar. `tests.rs` counts them for the worst inputs.

mod alternatives;
mod changed;
mod combinations;
mod document;
mod explanation;
mod matching;
mod number;
mod operators;
mod pattern;
mod program;
mod shown;
mod texts;
mod wildcard;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

pub use document::Document;
pub use explanation::{Explanation, Mismatch};
pub use program::Pattern;

use crate::input::Faults;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest filter, in bytes of its JSON text.
pub const FILTER_BYTES_MAX: usize = 4096;
/// The most leaves of a filter: fields with a list of values.
pub const LEAVES_MAX: usize = 50;
/// The most wildcards (`*`) of one value.
pub const WILDCARDS_MAX: usize = 3;
/// The most combinations that the `$or`s of a filter may make. Each `$or` multiplies them by the number of its branches.
pub const COMBINATIONS_MAX: usize = 128;

/// A webhook's filter as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(String);

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Every fault, with its pointer into the filter.
    pub fn read(raw: &RawValue) -> Result<Self, Faults> {
        Self::compile_text(raw.get()).map(|_| Self(raw.get().to_owned()))
    }

    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compiles the filter. A filter that was read can be compiled. A stored one may come from another version, so it may fail.
    pub fn compile(&self) -> Result<Pattern, Faults> {
        Self::compile_text(&self.0)
    }

    /// Returns the JSON for an answer, or `None` if the stored text is not JSON.
    pub fn to_json(&self) -> Option<Box<RawValue>> {
        RawValue::from_string(self.0.clone()).ok()
    }

    fn compile_text(text: &str) -> Result<Pattern, Faults> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(format!("must have at most {FILTER_BYTES_MAX} bytes").into());
        }
        pattern::read(text)
    }
}
