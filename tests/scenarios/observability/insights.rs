//! A stand-in for CloudWatch Logs Insights. It knows what the queries of the template use, and fails on anything else.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::logs::Line;

/// A row: names and values. A field without a value is missing.
pub(super) type Row = Map<String, Value>;

/// Runs a query over the lines, and returns its rows.
pub(super) fn run(query: &str, lines: &[Line]) -> Vec<Row> {
    let mut rows: Vec<Row> = lines.iter().map(row).collect();
    let mut shown: Option<Vec<_>> = None;
    for command in query.split('|').map(str::trim) {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        rows = match name {
            "SOURCE" => rows, // the caller gives the lines of the group
            "fields" => {
                // Later commands may use fields that are not shown.
                shown = Some(rest.split(',').map(str::trim).collect());
                rows
            }
            "filter" => rows.into_iter().filter(|row| Condition(rest).holds(row)).collect(),
            "stats" => stats(rest, &rows),
            "sort" => sorted(rest, rows),
            "limit" => rows.into_iter().take(rest.parse().expect("a number")).collect(),
            other => panic!("not understood: {other}"),
        };
    }
    if let Some(shown) = shown {
        for row in &mut rows {
            row.retain(|name, _| shown.contains(&name.as_str()));
        }
    }
    rows
}

/// Returns the fields of a line: those of its JSON, with dots for what is nested, and those that CloudWatch Logs adds.
fn row(line: &Line) -> Row {
    let mut row = Row::new();
    flatten("", &line.json, &mut row);
    row.insert("@timestamp".to_owned(), json!(line.at.as_millis() as u64));
    row.insert("@message".to_owned(), json!(line.text));
    row.insert("@log".to_owned(), json!(format!("/aws/lambda/hookline-{}", line.function)));
    row
}

fn flatten(name: &str, value: &Value, row: &mut Row) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                flatten(&name, value, row);
            }
        }
        Value::Null => {}
        other => {
            row.insert(name.to_owned(), other.clone());
        }
    }
}

/// The condition of a filter: comparisons with `or` between.
struct Condition<'a>(&'a str);

impl Condition<'_> {
    fn holds(&self, row: &Row) -> bool {
        self.0.split(" or ").any(|comparison| holds(comparison.trim(), row))
    }
}

fn holds(comparison: &str, row: &Row) -> bool {
    let form = Regex::new(r"^([@\w.]+) (=|>=|>|in|like) (.+)$").expect("a pattern");
    let parts = form.captures(comparison).unwrap_or_else(|| panic!("not understood: {comparison}"));
    let Some(value) = row.get(&parts[1]) else { return false };
    let literal: Value = serde_json::from_str(&parts[3]).unwrap_or_else(|error| panic!("{error}: {comparison}"));
    match &parts[2] {
        "=" => order(value, &literal) == Some(Ordering::Equal),
        ">" => order(value, &literal) == Some(Ordering::Greater),
        ">=" => order(value, &literal).is_some_and(Ordering::is_ge),
        "in" => literal.as_array().expect("a list").contains(value),
        _ => value.as_str().expect("a text").contains(literal.as_str().expect("a text")),
    }
}

/// Returns the order of two numbers or two texts.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Groups rows: `FUNCTION(FIELD) as NAME, … by FIELD, …`.
fn stats(text: &str, rows: &[Row]) -> Vec<Row> {
    let (functions, by) = text.split_once(" by ").expect("groups");
    let by: Vec<_> = by.split(',').map(str::trim).collect();
    let mut groups = BTreeMap::<Vec<String>, Vec<&Row>>::new();
    for row in rows {
        let key = by.iter().map(|name| row.get(*name).map(Value::to_string).unwrap_or_default()).collect();
        groups.entry(key).or_default().push(row);
    }
    let form = Regex::new(r"(\w+)\(([\w*]+)(?:, (\d+))?\)(?: / (\d+))? as (\w+)").expect("a pattern");
    let functions: Vec<_> = form.captures_iter(functions).collect();
    assert_eq!(functions.len(), text.matches(" as ").count(), "not understood: {text}");
    let groups = groups.into_values().map(|group| {
        let mut made: Row =
            by.iter().filter_map(|name| Some(((*name).to_owned(), group[0].get(*name)?.clone()))).collect();
        for function in &functions {
            let argument = function.get(3).map(|number| number.as_str().parse().expect("a number"));
            let value = aggregate(&function[1], &function[2], argument, &group);
            let divisor = function.get(4).map(|number| number.as_str().parse::<f64>().expect("a number"));
            let value = divisor.map_or(value.clone(), |divisor| json!(value.as_f64().expect("a number") / divisor));
            made.insert(function[5].to_owned(), value);
        }
        made
    });
    groups.collect()
}

fn aggregate(function: &str, field: &str, argument: Option<f64>, group: &[&Row]) -> Value {
    let mut numbers: Vec<f64> = group.iter().filter_map(|row| row.get(field)?.as_f64()).collect();
    numbers.sort_by(f64::total_cmp);
    match function {
        "count" => json!(group.len()),
        "sum" => json!(numbers.iter().sum::<f64>()),
        "max" => json!(numbers.last()),
        "pct" => {
            let count = f64::from(u32::try_from(numbers.len()).expect("few lines"));
            let rank = (argument.expect("a percentile") / 100.0 * count).ceil() as usize;
            json!(numbers.get(rank.saturating_sub(1)))
        }
        // Of the latest row, even if the field is missing there.
        "latest" => {
            let latest = group.iter().max_by_key(|row| row["@timestamp"].as_u64());
            latest.and_then(|row| row.get(field)).cloned().unwrap_or_default()
        }
        other => panic!("not understood: {other}"),
    }
}

fn sorted(text: &str, mut rows: Vec<Row>) -> Vec<Row> {
    let (field, direction) = text.split_once(' ').expect("a direction");
    rows.sort_by(|one, other| {
        let order = order(&one[field], &other[field]).expect("comparable");
        match direction {
            "asc" => order,
            "desc" => order.reverse(),
            other => panic!("not understood: {other}"),
        }
    });
    rows
}
