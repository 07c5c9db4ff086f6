//! What `hookline webhooks poll` prints.

use crate::{
    client::webhooks::PolledRequests,
    output::{
        Output,
        table::{Cell, Column, Table},
        text::visible,
    },
};
use std::io;

const COLUMNS: &[Column] = &[Column::whole("EVENT"), Column::flexible("TYPE"), Column::whole("BYTES")];

/// Prints the events of a page, and where the next one begins.
pub(super) fn print(out: Output, page: &PolledRequests) -> io::Result<()> {
    let mut table = Table::new(COLUMNS);
    for request in &page.data {
        let header = |name: &str| Cell::new(request.headers.get(name).map_or("", String::as_str));
        table.row(vec![header("webhook-id"), header("x-webhook-event"), Cell::new(&request.body.len().to_string())]);
    }
    out.table(&table)?;
    let when = if page.has_more { "More follows" } else { "That is all for now" };
    eprintln!("{when}. The next poll: --cursor {}", visible(&page.next_cursor));
    Ok(())
}
