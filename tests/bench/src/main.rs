//! `cargo run --release -p bench [-- --quick] [--json FILE] [SECTION…]`: what Hookline costs, as tables and as JSON.
//!
//! What is measured is a process of its own, built in release, with its data on the disk. The load and the receivers are
//! this process, whose CPU is told apart. On a machine that is busy with other things, believe CPU seconds and ratios
//! within one run, and no time.
//!
//! | file | holds |
//! |---|---|
//! | `throughput.rs` | a burst to 1 and 10 webhooks: events and deliveries a second, CPU, memory, latency at saturation |
//! | `latency.rs` | publish to arrival at a steady pace |
//! | `start.rs` | from exec to the first answer |
//! | `neighbours.rs` | a healthy endpoint beside one that hangs |
//! | `growth.rs` | the same with more of everything around it |
//! | `recovery.rs` | the recovery of 100,000 held events by the `publish` function |
//! | `weight.rs` | zip, crates, CPU, time and memory of each function's cold start |
//! | `cost/` | dollars for each million deliveries on AWS |
//! | `stack.rs` | the process that is measured |
//! | `token.rs` | a token to publish with |
//! | `load.rs`, `receiver.rs`, `http.rs` | the load, the receivers, and the little HTTP that they speak |
//! | `figures.rs` | percentiles, tables, JSON |

#![allow(clippy::cast_precision_loss, reason = "counts and times are far below what an f64 counts exactly")]

mod cost;
mod figures;
mod growth;
mod http;
mod latency;
mod load;
mod neighbours;
mod receiver;
mod recovery;
mod stack;
mod start;
mod throughput;
mod token;
mod weight;

use clap::{Parser, ValueEnum};
use figures::Table;
use stack::Executable;
use std::path::PathBuf;

/// Measures Hookline and prints what it costs.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Options {
    /// Takes a tenth of the time, for figures that are less exact.
    #[arg(long)]
    quick: bool,

    /// Writes all figures to this file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// What to measure; if nothing is named everything, but with --quick neither the weight nor a recovery.
    #[arg(value_enum)]
    sections: Vec<Section>,
}

/// A part of the benchmark that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    Throughput,
    Latency,
    Start,
    Neighbours,
    Growth,
    Recovery,
    Cost,
    Weight,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let wanted = |section: &&Section| match options.sections.as_slice() {
        // Builds with link-time optimisation are not quick.
        [] => !(options.quick && matches!(section, Section::Weight | Section::Recovery)),
        named => named.contains(section),
    };
    let sections = Section::value_variants().iter().filter(wanted);
    let local = Executable::build("local")?;
    println!("{}\n", figures::machine());
    let (mut tables, mut failed) = (Vec::new(), Vec::new());
    for section in sections {
        match section.measure(&local, options.quick).await {
            Ok(table) => {
                println!("{table}");
                tables.push(table);
            }
            // What takes long is not to be lost for what comes after it.
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

impl Section {
    async fn measure(self, local: &Executable, quick: bool) -> anyhow::Result<Table> {
        match self {
            Self::Throughput => throughput::measure(local, quick).await,
            Self::Latency => latency::measure(local, quick).await,
            Self::Start => start::measure(local, quick).await,
            Self::Neighbours => neighbours::measure(local, quick).await,
            Self::Growth => growth::measure(local, quick).await,
            Self::Recovery => recovery::measure(quick).await,
            Self::Weight => weight::measure(quick).await,
            // It has a runtime of its own, with a time of its own.
            Self::Cost => tokio::task::spawn_blocking(cost::measure).await?,
        }
    }
}
