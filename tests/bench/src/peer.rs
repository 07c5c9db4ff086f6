//! Bursts of single events beside the peer.

use crate::{
    figures::Table,
    stack::Executable,
    svix::Peer,
    system::Kind,
    turns::{self, Case},
};

pub(crate) async fn measure(local: &Executable, peer: Option<&Peer>, quick: bool) -> anyhow::Result<Table> {
    let Some(peer) = peer else {
        anyhow::bail!("needs --svix-server, DATABASE_URL and REDIS_URL");
    };
    let mut table =
        Table::new("peer", "a burst beside svix-server, its databases included (medians of rounds in turns)");
    let (deliveries, rounds) = if quick { (5_000, 1) } else { (20_000, 5) };
    for (label, webhooks) in [("1 webhook", 1), ("10 webhooks", 10)] {
        let case = Case { label, webhooks, per_second: None, events: deliveries / webhooks, warm_up: 50 };
        turns::measure(&mut table, case, &[Kind::Hookline(local), Kind::Svix(peer)], rounds).await?;
    }
    Ok(table)
}
