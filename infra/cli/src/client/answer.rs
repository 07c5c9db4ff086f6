//! An answer of the API.

/// A successful answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer<T> {
    /// What it says.
    pub(crate) value: T,
    /// The server's own JSON, with the members that [`Self::value`] does not know. Empty for a 204.
    pub(crate) json: String,
}
