//! A stand-in for CloudWatch Logs Insights. It knows the part of the language that saved queries need, and fails on anything else.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::expression::{Expression, Operator, Operators, Reader};
use crate::logs::Line;

const OPERATORS: &Operators = &[
    ("or", Operator::Or),
    ("and", Operator::And),
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">", Operator::Greater),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    ("<=", Operator::AtMost),
    ("like", Operator::Like),
    ("in", Operator::In),
    ("+", Operator::Add),
    ("-", Operator::Subtract),
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
];
/// The most fields that Insights finds in a line.
const FIELDS_MAX: usize = 200;

/// A row: names and values. A field without a value is missing.
pub(super) type Row = Map<String, Value>;

/// Runs a query over those of `lines` that are in the log groups, and returns its rows. A query with `SOURCE` names its group itself.
pub(super) fn run(query: &str, groups: &[String], lines: &[Line]) -> Vec<Row> {
    let mut reader = Reader::new(query, OPERATORS);
    let mut groups = groups.to_vec();
    if reader.take("SOURCE") {
        assert!(groups.is_empty(), "the query names its group: {query}");
        groups.push(reader.literal());
        reader.expect("|");
    }
    let found = lines.iter().filter(|line| groups.contains(&line.group()));
    let mut result = Outcome { rows: found.map(row).collect(), shown: None, is_sorted: false };
    result.apply(&mut reader);
    while !reader.is_done() {
        reader.expect("|");
        result.apply(&mut reader);
    }
    assert!(result.is_sorted, "without `sort`, the order of equal rows is not documented: {query}");
    let shown = result.shown.expect("`fields` or `stats`");
    for row in &mut result.rows {
        row.retain(|name, _| shown.contains(name));
    }
    result.rows
}

/// What the commands so far have led to.
struct Outcome {
    rows: Vec<Row>,
    /// The columns to show. Later commands may use fields that are not shown.
    shown: Option<Vec<String>>,
    is_sorted: bool,
}

impl Outcome {
    /// Reads and applies the next command.
    fn apply(&mut self, reader: &mut Reader) {
        match reader.word().as_str() {
            "fields" => self.shown.get_or_insert_default().extend(reader.list(Reader::word)),
            "filter" => {
                let condition = reader.expression();
                self.rows.retain(|row| holds(&condition, row));
            }
            "stats" => {
                let columns = reader.list(|reader| {
                    let expression = reader.expression();
                    reader.expect("as");
                    (expression, reader.word())
                });
                let by = if reader.take("by") { reader.list(Reader::word) } else { Vec::new() };
                self.rows = stats(&columns, &by, &self.rows);
                self.shown = Some(columns.into_iter().map(|(_, name)| name).chain(by).collect());
                self.is_sorted = false;
            }
            "sort" => {
                let (field, descends) = (reader.word(), reader.take("desc"));
                if !descends {
                    reader.expect("asc");
                }
                self.rows.sort_by(|one, other| {
                    let order = order(&one[&field], &other[&field]);
                    if descends { order.reverse() } else { order }
                });
                self.is_sorted = true;
            }
            "limit" => {
                assert!(self.is_sorted, "`limit` before `sort` keeps any rows");
                self.rows.truncate(reader.literal().parse().expect("a number of rows"));
            }
            other => panic!("unknown command: {other}"),
        }
    }
}

/// Returns the fields of a line: those of its JSON, with dots for what is nested, and those that CloudWatch Logs adds.
fn row(line: &Line) -> Row {
    let mut row = Row::new();
    flatten("", &line.json, &mut row);
    assert!(row.len() <= FIELDS_MAX, "too many fields: {}", line.text);
    row.insert("@timestamp".to_owned(), json!(line.at.as_millis() as u64));
    row.insert("@message".to_owned(), json!(line.text));
    row.insert("@log".to_owned(), json!(format!("000000000000:{}", line.group())));
    row
}

fn flatten(name: &str, value: &Value, row: &mut Row) {
    let member = |member: &str| if name.is_empty() { member.to_owned() } else { format!("{name}.{member}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| flatten(&member(key), value, row)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| flatten(&member(&index.to_string()), value, row));
        }
        Value::Null => {}
        other => {
            row.insert(name.to_owned(), other.clone());
        }
    }
}

/// Whether a row meets a condition.
fn holds(condition: &Expression, row: &Row) -> bool {
    match condition {
        Expression::Not(inner) => !holds(inner, row),
        Expression::Binary(operator, sides) => {
            let [left, right] = &**sides;
            match (operator, right) {
                (Operator::Or, _) => holds(left, row) || holds(right, row),
                (Operator::And, _) => holds(left, row) && holds(right, row),
                (Operator::In, Expression::List(items)) => {
                    let (value, items) = (value(left, row), items.iter().map(|item| value(item, row)));
                    !value.is_null() && items.into_iter().any(|item| order(&value, &item).is_eq())
                }
                (Operator::Like, Expression::Text(part)) => {
                    value(left, row).as_str().is_some_and(|text| text.contains(part))
                }
                (Operator::Like, Expression::Pattern(pattern)) => {
                    let pattern = Regex::new(pattern).expect("a pattern");
                    value(left, row).as_str().is_some_and(|text| pattern.is_match(text))
                }
                _ => compare(*operator, &value(left, row), &value(right, row)),
            }
        }
        other => panic!("no condition: {other:?}"),
    }
}

/// Returns the value of an expression in a row.
fn value(expression: &Expression, row: &Row) -> Value {
    match expression {
        Expression::Number(value) => number(*value),
        Expression::Text(text) => json!(text),
        Expression::Name(field) => row.get(field).cloned().unwrap_or_default(),
        other => panic!("no value of a row: {other:?}"),
    }
}

fn compare(operator: Operator, one: &Value, other: &Value) -> bool {
    if one.is_null() || other.is_null() {
        assert_ne!(operator, Operator::NotEqual, "whether a missing field is unequal is not documented");
        return false;
    }
    let order = order(one, other);
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Greater => order.is_gt(),
        Operator::AtLeast => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::AtMost => order.is_le(),
        other => panic!("no comparison: {other:?}"),
    }
}

/// Returns the order of two numbers or two texts.
fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Number(_), Value::Number(_)) => as_number(one).total_cmp(&as_number(other)),
        _ => panic!("{one} and {other} have no documented order"),
    }
}

/// Makes a row of each group of rows with the same values of the fields `by`. Rows without one of them are a group, too.
fn stats(columns: &[(Expression, String)], by: &[String], rows: &[Row]) -> Vec<Row> {
    let mut groups = BTreeMap::<Vec<String>, Vec<&Row>>::new();
    for row in rows {
        let key = by.iter().map(|field| row.get(field).map(Value::to_string).unwrap_or_default());
        groups.entry(key.collect()).or_default().push(row);
    }
    let groups = groups.into_values().map(|group| {
        let keys = by.iter().filter_map(|field| Some((field.clone(), group[0].get(field)?.clone())));
        let values = columns.iter().map(|(expression, name)| (name.clone(), aggregate(expression, &group)));
        keys.chain(values).collect()
    });
    groups.collect()
}

/// Returns the value of an expression over the rows of a group.
fn aggregate(expression: &Expression, group: &[&Row]) -> Value {
    match expression {
        Expression::Number(value) => number(*value),
        Expression::Binary(operator, sides) => {
            let [left, right] = [&sides[0], &sides[1]].map(|side| as_number(&aggregate(side, group)));
            number(operator.apply(left, right))
        }
        Expression::Call(function, arguments) => match (function.as_str(), arguments.as_slice()) {
            ("count", [Expression::Name(star)]) if star == "*" => json!(group.len()),
            ("sum", [Expression::Name(field)]) => number(numbers(field, group).iter().sum()),
            ("min", [Expression::Name(field)]) => {
                numbers(field, group).first().map_or(Value::Null, |least| number(*least))
            }
            ("max", [Expression::Name(field)]) => {
                numbers(field, group).last().map_or(Value::Null, |most| number(*most))
            }
            ("pct", [Expression::Name(field), Expression::Number(percentile)]) => {
                percentile_of(field, *percentile, group)
            }
            ("latest", [Expression::Name(field)]) => latest(field, group),
            other => panic!("unknown function: {other:?}"),
        },
        other => panic!("no value of a group: {other:?}"),
    }
}

/// Returns the numbers of a field, in ascending order.
fn numbers(field: &str, group: &[&Row]) -> Vec<f64> {
    let mut numbers: Vec<_> = group.iter().filter_map(|row| row.get(field)).map(as_number).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// Returns the least value that at least this share of the values does not exceed. Insights estimates it.
fn percentile_of(field: &str, percentile: f64, group: &[&Row]) -> Value {
    let numbers = numbers(field, group);
    let count = f64::from(u32::try_from(numbers.len()).expect("few rows"));
    let rank = (percentile / 100.0 * count).ceil() as usize;
    numbers.get(rank.saturating_sub(1)).map_or(Value::Null, |value| number(*value))
}

fn latest(field: &str, group: &[&Row]) -> Value {
    let latest = group.iter().max_by_key(|row| row["@timestamp"].as_u64()).and_then(|row| row.get(field));
    let is_clear = latest.is_some() || group.iter().all(|row| !row.contains_key(field));
    assert!(is_clear, "what `latest` is of a row without {field} is not documented");
    latest.cloned().unwrap_or_default()
}

fn as_number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} should be a number"))
}

/// Returns a number, without a fraction if it is whole.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Runs a query over three lines, and returns the `name` of each row.
    fn names(query: &str) -> Vec<String> {
        let texts = [
            r#"{"name":"first","level":"INFO","size":1}"#,
            r#"{"name":"second","level":"ERROR","inner":{"size":2}}"#,
            r#"{"name":"third","level":"INFO","size":30}"#,
        ];
        let line = |(second, text): (u64, &str)| Line {
            at: Duration::from_secs(second),
            function: "deliver",
            text: text.to_owned(),
            json: serde_json::from_str(text).expect("JSON"),
        };
        let lines: Vec<_> = (1..).zip(texts).map(line).collect();
        let query = format!("SOURCE '/aws/lambda/hookline-deliver' | fields name | {query} | sort @timestamp desc");
        run(&query, &[], &lines).into_iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
    }

    #[test]
    fn filters_take_conditions_as_the_language_has_them() {
        for (condition, expected) in [
            (r#"@message like "second""#, &["second"][..]),
            (r"@message like /size.:\d\d/", &["third"]),
            (r#"level = "ERROR" or size > 1 and size < 9"#, &["second"]),
            (r#"(level = "ERROR" or size > 1) and not name = "third""#, &["second"]),
            ("inner.size >= 2", &["second"]),
            (r#"name in ["first", "third"] and level != "ERROR""#, &["third", "first"]),
            (r#"name = "a | b or c""#, &[]),
        ] {
            assert_eq!(names(&format!("filter {condition}")), expected, "{condition}");
        }
    }

    #[test]
    fn what_is_unknown_fails() {
        for command in [
            "dedup name",
            "filter strlen(name) > 3",
            "filter size =~ 3",
            "filter name",
            "limit 1",
            "filter size = \"1\"",
        ] {
            assert!(std::panic::catch_unwind(|| names(command)).is_err(), "{command}");
        }
    }
}
