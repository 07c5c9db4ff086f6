//! One page of a list, and the order of its entries.

use serde::Serialize;

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    Newest,
    /// Oldest first.
    Oldest,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T, C> {
    /// The entries, in order. A page may end early, or be empty: only a null `next_cursor` ends a list.
    #[serde(rename = "data")]
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last.
    #[serde(rename = "next_cursor")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Converts each entry with `convert`.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U, C> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }

    /// Creates a page of the first `limit` of `rows`. A further page exists if there are more rows than that, or if `unread`
    /// says that more rows follow those that were read. `id` returns the cursor of a row.
    pub fn first(mut rows: Vec<T>, limit: usize, unread: bool, id: impl Fn(&T) -> C) -> Self {
        let more = unread || rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(id);
        Self { items: rows, next }
    }
}
