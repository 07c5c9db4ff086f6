//! Measures what Hookline costs, and prints it as tables and as JSON:
//! `cargo run --release -p bench [-- --quick] [--json FILE] [SECTION…]`.
//!
//! The measured process is a release build with its data on the disk. The load and the receivers
//! are in this process, whose CPU is counted separately. On a busy machine, CPU seconds and ratios
//! within one run are reliable, and times are not.
//!
//! | file | holds |
//! |---|---|
//! | `throughput.rs` | a burst to 1 and to 10 webhooks: events and deliveries a second, CPU, memory, latency at full load |
//! | `latency.rs` | publish to arrival at a steady rate |
//! | `steady.rs` | low rates: CPU and publish to arrival, also with 1,000 webhooks |
//! | `peer.rs` | a burst beside svix-server, in turns, with the CPU of both sides' processes |
//! | `floor.rs`, `floor/` | a burst beside a minimal relay, and the relay |
//! | `start.rs` | from exec to the first answer of the local process |
//! | `neighbours.rs` | a healthy endpoint beside others that hang or fail |
//! | `growth.rs` | the cost of an event with more webhooks, stored deliveries, accounts or waiting messages |
//! | `expiry.rs` | the deletion of a million expired deliveries, beside publishing |
//! | `filters.rs` | the fan-out to 10,000 webhooks with 1,000 distinct filters, relative to one without |
//! | `recovery.rs` | the recovery of 100,000 held events by the `publish` function |
//! | `weight.rs` | zip, crates, CPU, time and memory of each function's cold start |
//! | `cost/` | dollars a million deliveries on AWS, and of polling |
//! | `stack.rs` | the measured process |
//! | `system.rs`, `svix.rs` | the systems that are compared, and how svix-server is started |
//! | `turns.rs` | rounds of systems in turns, and the figures of one relative to another |
//! | `processes.rs` | the CPU of groups of processes, and of all others |
//! | `token.rs` | a token |
//! | `load.rs`, `receiver.rs`, `http.rs` | the load, the receivers, and their HTTP |
//! | `figures.rs` | percentiles, tables, JSON |

#![allow(clippy::cast_precision_loss, reason = "counts and times are small enough for an f64 to hold exactly")]

mod cost;
mod expiry;
mod figures;
mod filters;
mod floor;
mod growth;
mod http;
mod latency;
mod load;
mod neighbours;
mod peer;
mod processes;
mod receiver;
mod recovery;
mod stack;
mod start;
mod steady;
mod svix;
mod system;
mod throughput;
mod token;
mod turns;
mod weight;

use clap::{Parser, ValueEnum};
use figures::Table;
use reqwest::Url;
use stack::Executable;
use std::path::PathBuf;
use svix::Peer;

/// Measures Hookline and prints what it costs.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Options {
    /// Takes a tenth of the time. The figures are less exact.
    #[arg(long)]
    quick: bool,

    /// Writes all figures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The peer: an executable of svix-server, which is measured in turns with Hookline.
    #[arg(long, value_name = "PATH", requires_all = ["database_url", "redis_url"])]
    svix_server: Option<PathBuf>,

    /// The peer's PostgreSQL, on this machine.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<Url>,

    /// The peer's Redis, on this machine.
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<Url>,

    /// What to measure. By default everything, but with --quick neither weight nor recovery, and without the peer not peer.
    #[arg(value_enum)]
    sections: Vec<Section>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    Throughput,
    Latency,
    Steady,
    Peer,
    Floor,
    Start,
    Neighbours,
    Growth,
    Expiry,
    Filters,
    Recovery,
    Cost,
    Polling,
    Weight,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let peer = options.peer()?;
    let wanted = |section: &&Section| match options.sections.as_slice() {
        // These need further builds with link-time optimisation, which take long.
        [] if options.quick && matches!(section, Section::Weight | Section::Recovery) => false,
        [] => peer.is_some() || **section != Section::Peer,
        named => named.contains(section),
    };
    let sections = Section::value_variants().iter().filter(wanted);
    let local = Executable::build("local")?;
    println!("{}\n", figures::machine());
    let (mut tables, mut failed) = (Vec::new(), Vec::new());
    for section in sections {
        match section.measure(&local, peer.as_ref(), options.quick).await {
            Ok(table) => {
                println!("{table}");
                tables.push(table);
            }
            // The other sections still run, so that an error loses no figures of a long run.
            Err(error) => {
                eprintln!("{section:?}: {error:#}");
                failed.push(section);
            }
        }
    }
    if let Some(file) = options.json {
        std::fs::write(file, figures::json(&tables))?;
    }
    anyhow::ensure!(failed.is_empty(), "not measured: {failed:?}");
    Ok(())
}

impl Options {
    /// Returns the peer, if it is given.
    fn peer(&self) -> anyhow::Result<Option<Peer>> {
        match (&self.svix_server, &self.database_url, &self.redis_url) {
            (Some(server), Some(database), Some(redis)) => {
                Peer::find(server.clone(), database.clone(), redis.clone()).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Section {
    async fn measure(self, local: &Executable, peer: Option<&Peer>, quick: bool) -> anyhow::Result<Table> {
        match self {
            Self::Throughput => throughput::measure(local, quick).await,
            Self::Latency => latency::measure(local, quick).await,
            Self::Steady => steady::measure(local, peer, quick).await,
            Self::Peer => peer::measure(local, peer, quick).await,
            Self::Floor => floor::measure(local, quick).await,
            Self::Start => start::measure(local, quick).await,
            Self::Neighbours => neighbours::measure(local, quick).await,
            Self::Growth => growth::measure(local, quick).await,
            Self::Expiry => expiry::measure(local, quick).await,
            Self::Filters => filters::measure(quick).await,
            Self::Recovery => recovery::measure(quick).await,
            Self::Weight => weight::measure(quick).await,
            // These sections start a runtime of their own, with simulated time.
            Self::Cost => tokio::task::spawn_blocking(cost::measure).await?,
            Self::Polling => tokio::task::spawn_blocking(cost::polling::measure).await?,
        }
    }
}
