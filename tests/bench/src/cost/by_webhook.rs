//! Tests that the costs in `deliver`'s log lines, summed by webhook, are what the meter counted.

use super::{Cost, Publish, Scenario, run};
use domain::cost::{US_EAST_1, Usage};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{self, Seek},
};

/// The memory of `deliver`, in MB.
const MEMORY_MB: u32 = 256;

/// What the log lines of one webhook add up to.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    lines: usize,
    attempts: u64,
    usage: Usage,
    picodollars: u64,
}

/// Runs a scenario. Returns what the meter counted, and the sums of the lines by webhook. The lines of no webhook are under "".
fn logged(scenario: Scenario) -> (Cost, BTreeMap<String, Sum>) {
    let mut written = tempfile::tempfile().expect("a file");
    let writer = written.try_clone().expect("a second handle");
    let filter = "info".parse().expect("a filter");
    let subscriber = telemetry::log::subscriber(filter, Some("hookline-deliver".to_owned()), writer);
    let cost = tracing::subscriber::with_default(subscriber, || run(scenario)).expect("the scenario runs");
    written.rewind().expect("a file");
    let text = io::read_to_string(written).expect("UTF-8");
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if let Some(picodollars) = line["cost_picodollars"].as_u64() {
            let sum = sums.entry(line["webhook_id"].as_str().unwrap_or_default().to_owned()).or_default();
            sum.lines += 1;
            sum.attempts += line["attempts"].as_u64().unwrap_or_default();
            sum.usage += usage(&line);
            sum.picodollars += picodollars;
        }
    }
    (cost, sums)
}

fn usage(line: &Value) -> Usage {
    let thousandths = |name: &str| (line[name].as_f64().expect("a number") * 1000.0).round() as u64;
    Usage {
        read_milliunits: thousandths("read_units"),
        write_milliunits: thousandths("write_units"),
        bytes_sent: line["bytes_sent"].as_u64().expect("a count"),
        lambda_us: thousandths("lambda_ms"),
    }
}

/// The sums of the lines are the meter's units and time of `deliver`, and their prices are those of the table.
fn assert_is_metered(cost: &Cost, sums: &BTreeMap<String, Sum>) {
    let deliver = cost.usage.functions["deliver"];
    let total = sums.values().fold(Usage::NONE, |total, sum| total + sum.usage);
    assert_eq!(total.read_milliunits, (deliver.read_units * 1000.0) as u64, "read units");
    assert_eq!(total.write_milliunits, (deliver.write_units * 1000.0) as u64, "write units");
    assert_eq!(u128::from(total.lambda_us), deliver.waited.as_micros(), "time");
    for (webhook, sum) in sums {
        // Each line is rounded down, in four parts.
        let price = US_EAST_1.cost(sum.usage, MEMORY_MB).picodollars;
        assert!(sum.picodollars <= price && price - sum.picodollars <= 4 * sum.lines as u64, "{webhook}: {sum:?}");
    }
}

/// `DELIVERIES=10000 cargo test -p bench by_webhook` runs five times as many as usual, in about a minute.
#[test]
fn the_costs_of_the_deliveries_of_20_webhooks_add_up_to_what_the_meter_counts() {
    let deliveries = std::env::var("DELIVERIES").map_or(2_000, |text| text.parse().expect("DELIVERIES is a number"));
    let webhooks = 20;
    // Batches of a hundred events.
    let events = (deliveries / webhooks / 100).max(1) * 100;
    let scenario = Scenario { name: "20 webhooks", publish: Publish::Batch, webhooks, events, fails_one_in: Some(5) };
    let (cost, sums) = logged(scenario);
    assert_is_metered(&cost, &sums);
    assert_eq!(sums.len(), webhooks, "everything belongs to a webhook: {:?}", sums.keys());
    for (webhook, sum) in &sums {
        let attempts = (events + events / 5) as u64;
        assert_eq!((sum.attempts, sum.usage.write_milliunits), (attempts, attempts * 2 * 1000), "{webhook}");
        assert!(sum.usage.read_milliunits > 0 && sum.usage.bytes_sent > 1000 * attempts, "{webhook}: {sum:?}");
    }
}
