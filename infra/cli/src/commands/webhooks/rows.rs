//! The tables of webhooks and recoveries.

use crate::{
    client::webhooks::{Recovery, Webhook},
    output::{
        moment::relative,
        style::Style,
        table::{Cell, Column},
    },
};

/// A table's columns, and the row of an entry.
type Rows<T> = (&'static [Column], fn(&T) -> Vec<Cell>);

pub(super) const WEBHOOKS: Rows<Webhook> = (
    &[
        Column::whole("ID"),
        Column::whole("STATUS"),
        Column::flexible("URL"),
        Column::flexible("EVENTS"),
        Column::flexible("DESCRIPTION"),
        Column::whole("CREATED"),
    ],
    |webhook| {
        let status = match &webhook.disabled_reason {
            Some(reason) => format!("{} ({reason})", webhook.status),
            None => webhook.status.clone(),
        };
        vec![
            Cell::new(&webhook.id),
            Cell::styled(&status, Style::of_status(&webhook.status)),
            webhook.url.as_deref().map_or_else(|| Cell::styled("(polled)", Style::Faint), Cell::new),
            Cell::new(&webhook.events.join(", ")),
            Cell::optional(webhook.description.as_deref()),
            Cell::new(&relative(&webhook.created_at)),
        ]
    },
);

pub(super) const RECOVERIES: Rows<Recovery> = (
    &[
        Column::whole("ID"),
        Column::whole("STATUS"),
        Column::whole("LOOKED AT"),
        Column::whole("SENT"),
        Column::flexible("SINCE"),
        Column::flexible("UNTIL"),
        Column::whole("STARTED"),
    ],
    |recovery| {
        vec![
            Cell::new(&recovery.id),
            Cell::status(&recovery.status),
            Cell::new(&recovery.looked_at.to_string()),
            Cell::new(&recovery.sent.to_string()),
            Cell::new(&recovery.since),
            Cell::new(&recovery.until),
            Cell::new(&relative(&recovery.started_at)),
        ]
    },
);
