//! Pages of lists.

use serde::Deserialize;

/// One page of a list.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Page<T> {
    /// The entries, in order.
    pub(crate) data: Vec<T>,
    /// The cursor of the next page; `None` ends the list.
    pub(crate) next_cursor: Option<String>,
}

/// Which page of a list is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The most entries, 1 to 100. The server's default is 20.
    pub(crate) limit: Option<u32>,
    /// The cursor after the page before; `None` asks for the first page.
    pub(crate) cursor: Option<String>,
}
