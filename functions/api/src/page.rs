//! Lists as users see them.

use serde::Serialize;

/// One page of a list.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    /// What to send as `cursor` for the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    pub(crate) fn new(data: Vec<T>, next: Option<impl ToString>) -> Self {
        Self { data, next_cursor: next.map(|next| next.to_string()) }
    }
}
