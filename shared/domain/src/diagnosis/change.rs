//! What happened to a part of a request, with its name.

use super::Code;
use std::borrow::Cow;

/// One thing that happened: its code, and what it made of the part, as a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) code: Code,
    /// For a change of the body, a phrase that continues "the body": "with a line break at its end". Otherwise a whole sentence.
    pub(super) what: Cow<'static, str>,
}

impl Change {
    pub(super) fn new(code: Code, what: impl Into<Cow<'static, str>>) -> Self {
        Self { code, what: what.into() }
    }
}

/// A value that may have been signed, and what happened to it since. Without changes it is the value as it is known.
#[derive(Clone, Debug)]
pub(super) struct Candidate<T> {
    pub(super) value: T,
    pub(super) changes: Vec<Change>,
}

impl<T> Candidate<T> {
    /// The value as it is known.
    pub(super) fn as_is(value: T) -> Self {
        Self { value, changes: vec![] }
    }

    /// A value to which one thing happened.
    pub(super) fn changed(value: T, change: Change) -> Self {
        Self { value, changes: vec![change] }
    }

    /// Whether anything happened.
    pub(super) fn is_changed(&self) -> bool {
        !self.changes.is_empty()
    }
}
