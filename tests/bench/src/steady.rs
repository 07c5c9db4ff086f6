//! Low rates, where a system is most of the time: CPU and the time to arrival, of Hookline and, if
//! it is given, of its peer.

use crate::{
    figures::Table,
    stack::Executable,
    svix::Peer,
    system::Kind,
    turns::{self, Case},
};

/// The rates, each for 20 seconds, or as long as it takes to make 300 deliveries.
const CASES: [Case; 4] = [
    Case { label: "1 webhook, 10 events/s", webhooks: 1, per_second: Some(10), events: 300, warm_up: 50 },
    Case { label: "1 webhook, 100 events/s", webhooks: 1, per_second: Some(100), events: 2_000, warm_up: 50 },
    Case { label: "10 webhooks, 20 events/s", webhooks: 10, per_second: Some(20), events: 400, warm_up: 20 },
    Case { label: "1,000 webhooks, 2 events/s", webhooks: 1_000, per_second: Some(2), events: 40, warm_up: 2 },
];

pub(crate) async fn measure(local: &Executable, peer: Option<&Peer>, quick: bool) -> anyhow::Result<Table> {
    let mut table = Table::new("steady", "low rates: CPU, and publish to arrival (medians of rounds in turns)");
    let systems: Vec<_> = [Kind::Hookline(local)].into_iter().chain(peer.map(Kind::Svix)).collect();
    for case in CASES {
        let events = if quick { case.events / 4 } else { case.events };
        turns::measure(&mut table, Case { events, ..case }, &systems, if quick { 1 } else { 5 }).await?;
    }
    Ok(table)
}
