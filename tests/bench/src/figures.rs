//! Percentiles, and tables, which are printed and written as JSON.

use serde_json::{Map, Value, json};
use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A number with its name and its unit.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    name: &'static str,
    unit: &'static str,
    value: f64,
}

/// Creates a figure.
pub(crate) fn figure(name: &'static str, unit: &'static str, value: f64) -> Figure {
    Figure { name, unit, value }
}

/// The figures of one measurement.
#[derive(Clone, Debug)]
struct Row {
    label: String,
    figures: Vec<Figure>,
}

/// The figures of a section.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    name: &'static str,
    title: &'static str,
    rows: Vec<Row>,
}

impl Table {
    /// Creates an empty table. `name` is its key in JSON, `title` explains it in print.
    pub(crate) fn new(name: &'static str, title: &'static str) -> Self {
        Self { name, title, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, label: impl Into<String>, figures: Vec<Figure>) {
        self.rows.push(Row { label: label.into(), figures });
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let figures = row.figures.iter().map(|figure| {
                let key = format!("{} {}", figure.name, figure.unit).trim_end().to_owned();
                (key, json!(figure.value))
            });
            (row.label.clone(), Value::Object(figures.collect()))
        });
        Value::Object(rows.collect())
    }
}

/// Prints a heading, the names and units of the figures, and a line for each row.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.title)?;
        let mut columns: Vec<(&str, &str)> = Vec::new();
        for figure in self.rows.iter().flat_map(|row| &row.figures) {
            if !columns.contains(&(figure.name, figure.unit)) {
                columns.push((figure.name, figure.unit));
            }
        }
        let label_width = self.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or_default();
        let width = |(name, unit): &(&str, &str)| name.len().max(unit.len()).max(8);
        let (mut names, mut units) = (" ".repeat(label_width), " ".repeat(label_width));
        for column in &columns {
            let (name, unit) = column;
            write!(names, "  {name:>width$}", width = width(column))?;
            write!(units, "  {unit:>width$}", width = width(column))?;
        }
        writeln!(f, "{names}\n{units}")?;
        for row in &self.rows {
            write!(f, "{:label_width$}", row.label)?;
            for column in &columns {
                let found = row.figures.iter().find(|figure| (figure.name, figure.unit) == *column);
                let text = found.map_or_else(String::new, |figure| shown(figure.value));
                write!(f, "  {text:>width$}", width = width(column))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Writes a value with three significant digits, and large values as whole numbers.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Returns all tables as one JSON document, with the machine and the time.
pub(crate) fn json(tables: &[Table]) -> String {
    let sections: Map<String, Value> = tables.iter().map(|table| (table.name.to_owned(), table.json())).collect();
    #[allow(clippy::disallowed_methods, reason = "the time is only written down, and decides nothing")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let document = json!({"machine": machine(), "unix_seconds": now.as_secs(), "sections": sections});
    format!("{document:#}\n")
}

/// Describes the machine in one line.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    format!("{cores} cores, {}, load {load} before the run", model.unwrap_or("unknown CPU"))
}

/// Returns the percentile of `times` at `share` (0 to 1), in milliseconds, or 0 without times.
pub(crate) fn percentile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let index = (times.len() as f64 * share).ceil() as usize;
    times.get(index.clamp(1, times.len().max(1)) - 1).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// The median of several rounds, with the least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Returns the spread of `values`, or zeros without values. Of an even number, the median is the
    /// mean of the middle two.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), least: at(0), most: at(last) }
    }

    /// Returns the median and its bounds, and how many times that of `base` it is, in `times`, unless this is the base.
    pub(crate) fn figures(
        self,
        name: &'static str,
        unit: &'static str,
        base: Option<(Self, &'static str)>,
    ) -> Vec<Figure> {
        let mut figures =
            vec![figure(name, unit, self.median), figure(name, "least", self.least), figure(name, "most", self.most)];
        figures.extend(base.map(|(base, times)| figure(name, times, self.median / base.median)));
        figures
    }
}

/// Returns p50, p95 and p99 of `times`.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Vec<Figure> {
    [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]
        .map(|(name, share)| figure(name, "ms", percentile_ms(&mut times, share)))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 9.0]), Spread { median: 3.0, least: 1.0, most: 9.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]), Spread { median: 3.0, least: 1.0, most: 9.0 });
        assert_eq!(Spread::of([5.0]), Spread { median: 5.0, least: 5.0, most: 5.0 });
        assert_eq!(Spread::of([]), Spread { median: 0.0, least: 0.0, most: 0.0 });
    }

    #[test]
    fn a_ratio_is_of_the_medians() {
        let (base, spread) = (Spread::of([2.0, 4.0, 4.0]), Spread::of([1.0, 10.0, 12.0]));
        let mut table = Table::new("name", "title");
        table.row("row", spread.figures("CPU", "s", Some((base, "x base"))));
        let row = json!({"CPU s": 10.0, "CPU least": 1.0, "CPU most": 12.0, "CPU x base": 2.5});
        assert_eq!(table.json(), json!({"row": row}));
    }
}
