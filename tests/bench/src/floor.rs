//! Hookline's distance to the floor: a minimal relay (`floor/`) that keeps an event on disk until it
//! is delivered, and does nothing else.

use crate::{
    figures::Table,
    stack::Executable,
    system::Kind,
    turns::{self, Case},
};

pub(crate) async fn measure(local: &Executable, quick: bool) -> anyhow::Result<Table> {
    let relay = Executable::build("floor")?;
    let mut table = Table::new("floor", "a burst to 1 webhook beside a minimal relay (medians of rounds in turns)");
    let (events, rounds) = if quick { (5_000, 1) } else { (20_000, 5) };
    let case = Case { label: "1 webhook", webhooks: 1, per_second: None, events, warm_up: 50 };
    turns::measure(&mut table, case, &[Kind::Floor(&relay), Kind::Hookline(local)], rounds).await?;
    Ok(table)
}
