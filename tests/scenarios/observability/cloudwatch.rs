//! A stand-in for CloudWatch: it takes metrics out of log lines, and tells when an alarm goes off. It knows what the alarms of the
//! template use, and fails on anything else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use strict_aws::template::{items, resources, text};

use super::deployed;
use super::expression::{Expression, Operator, Operators, Reader};
use crate::logs::Line;

/// How often an alarm is judged.
const MINUTE: Duration = Duration::from_secs(60);
/// The operators of metric math.
const OPERATORS: &Operators = &[
    ("OR", Operator::Or),
    ("AND", Operator::And),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">", Operator::Greater),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    ("<=", Operator::AtMost),
    ("+", Operator::Add),
    ("-", Operator::Subtract),
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
];
/// The properties of an alarm that say nothing about when it goes off.
const OTHER_PROPERTIES: [&str; 3] = ["AlarmDescription", "AlarmActions", "OKActions"];
/// The id of the metric of an alarm on one metric, which has none in the template.
const ONLY_METRIC: &str = "metric";

/// The namespace, the name and the dimensions of a metric.
type Key = (String, String, BTreeMap<String, String>);

/// The values of metrics, with their times.
pub(super) struct Metrics(BTreeMap<Key, Vec<(Duration, f64)>>);

impl Metrics {
    /// Takes the metrics out of the lines, as the specification of the embedded metric format says.
    pub(super) fn of(lines: &[Line]) -> Self {
        let mut values = BTreeMap::<Key, Vec<_>>::new();
        for Line { at, json, .. } in lines {
            for directive in json["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
                for dimensions in items(&directive["Dimensions"]) {
                    let dimension = |name: &Value| (text(name).to_owned(), text(&json[text(name)]).to_owned());
                    let dimensions: BTreeMap<_, _> = items(dimensions).iter().map(dimension).collect();
                    for metric in items(&directive["Metrics"]) {
                        let name = text(&metric["Name"]).to_owned();
                        let value = json[&name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {json}"));
                        let key = (text(&directive["Namespace"]).to_owned(), name, dimensions.clone());
                        values.entry(key).or_default().push((*at, value));
                    }
                }
            }
        }
        Self(values)
    }

    /// Returns the values of a metric from `after` until `until`.
    fn within(&self, key: &Key, after: Duration, until: Duration) -> Vec<f64> {
        let values = self.0.get(key).into_iter().flatten();
        values.filter(|(at, _)| (after..until).contains(at)).map(|(_, value)| *value).collect()
    }
}

/// A metric that an alarm watches.
#[derive(Debug)]
struct Watched {
    key: Key,
    statistic: String,
}

impl Watched {
    /// Returns its statistic over the time from `after` until `until`, or `None` without a value.
    fn value(&self, metrics: &Metrics, after: Duration, until: Duration) -> Option<f64> {
        let values = metrics.within(&self.key, after, until);
        let some = !values.is_empty();
        match self.statistic.as_str() {
            "Sum" => some.then(|| values.iter().sum()),
            "Maximum" => values.into_iter().reduce(f64::max),
            "Minimum" => values.into_iter().reduce(f64::min),
            other => panic!("unknown statistic: {other}"),
        }
    }
}

/// An alarm of the template.
#[derive(Debug)]
pub(super) struct Alarm {
    watched: BTreeMap<String, Watched>,
    expression: Expression,
    period: Duration,
    periods: u32,
    /// Of the last `periods`, how many must be over the threshold.
    wanted: u32,
    comparison: Operator,
    threshold: f64,
}

impl Alarm {
    /// Returns the alarms of the template on metrics of a namespace, by their logical ids.
    pub(super) fn on(template: &Value, namespace: &str) -> BTreeMap<String, Self> {
        let is_on = |properties: &Value| {
            let several = properties["Metrics"].as_array().into_iter().flatten();
            let several = several.map(|metric| &metric["MetricStat"]["Metric"]);
            several.chain([properties]).any(|metric| metric["Namespace"] == namespace)
        };
        let alarms = resources(template, "AWS::CloudWatch::Alarm").filter(|(_, properties)| is_on(properties));
        alarms.map(|(id, properties)| (id.clone(), Self::read(template, properties))).collect()
    }

    fn read(template: &Value, properties: &Value) -> Self {
        let mut rest = properties.as_object().expect("properties").clone();
        let mut take = |name: &str| rest.remove(name).unwrap_or_default();
        for name in OTHER_PROPERTIES {
            take(name);
        }
        let periods = deployed::number(template, &take("EvaluationPeriods")) as u32;
        let wanted = take("DatapointsToAlarm");
        let wanted = if wanted.is_null() { periods } else { deployed::number(template, &wanted) as u32 };
        let threshold = deployed::number(template, &take("Threshold"));
        let comparison = match text(&take("ComparisonOperator")) {
            "GreaterThanThreshold" => Operator::Greater,
            "GreaterThanOrEqualToThreshold" => Operator::AtLeast,
            "LessThanThreshold" => Operator::Less,
            "LessThanOrEqualToThreshold" => Operator::AtMost,
            other => panic!("unknown comparison: {other}"),
        };
        assert_eq!(take("TreatMissingData"), "notBreaching");
        let (watched, expression, period) = match take("Metrics") {
            Value::Array(metrics) => several(template, &metrics),
            _ => {
                let statistic = text(&take("Statistic")).to_owned();
                let period = seconds(template, &take("Period"));
                let key = key(template, ["Namespace", "MetricName", "Dimensions"].map(take));
                let watched = BTreeMap::from([(ONLY_METRIC.to_owned(), Watched { key, statistic })]);
                (watched, Expression::Name(ONLY_METRIC.to_owned()), period)
            }
        };
        assert!(rest.is_empty(), "unknown properties: {rest:?}");
        Self { watched, expression, period, periods, wanted, comparison, threshold }
    }

    /// Returns when the alarm goes off first. As CloudWatch does, it is judged each minute until `end`, over the periods before that
    /// minute.
    pub(super) fn goes_off(&self, metrics: &Metrics, end: Duration) -> Option<Duration> {
        let mut minutes = (1..).map(|minute| MINUTE * minute).take_while(|now| *now <= end);
        minutes.find(|now| self.is_on(metrics, *now))
    }

    fn is_on(&self, metrics: &Metrics, now: Duration) -> bool {
        let is_over = |before: u32| {
            let until = now.checked_sub(self.period * before);
            let value = until.and_then(|until| self.value(metrics, until.saturating_sub(self.period), until));
            value.is_some_and(|value| self.comparison.apply(value, self.threshold) != 0.0)
        };
        (0..self.periods).filter(|before| is_over(*before)).count() >= self.wanted as usize
    }

    /// Returns the alarm's value over the time from `after` until `until`, or `None` if it is missing.
    fn value(&self, metrics: &Metrics, after: Duration, until: Duration) -> Option<f64> {
        let value = |id: &str| {
            let watched = self.watched.get(id).unwrap_or_else(|| panic!("no metric {id}"));
            watched.value(metrics, after, until)
        };
        evaluate(&self.expression, &value)
    }
}

/// Reads the metrics of an alarm on several, and the expression that it watches.
fn several(template: &Value, metrics: &[Value]) -> (BTreeMap<String, Watched>, Expression, Duration) {
    let (mut watched, mut expressions, mut periods) = (BTreeMap::new(), Vec::new(), Vec::new());
    for metric in metrics {
        match metric.get("Expression") {
            Some(expression) => expressions.push(text(expression)),
            None => {
                assert_eq!(metric["ReturnData"], false, "the alarm watches the expression: {metric}");
                let Value::Object(members) = &metric["MetricStat"]["Metric"] else { panic!("no metric: {metric}") };
                let member = |name: &str| members.get(name).cloned().unwrap_or_default();
                let key = key(template, ["Namespace", "MetricName", "Dimensions"].map(member));
                let statistic = text(&metric["MetricStat"]["Stat"]).to_owned();
                periods.push(seconds(template, &metric["MetricStat"]["Period"]));
                watched.insert(text(&metric["Id"]).to_owned(), Watched { key, statistic });
            }
        }
    }
    periods.dedup();
    let ([expression], [period]) = (expressions.as_slice(), periods.as_slice()) else {
        panic!("one expression and one period: {metrics:?}");
    };
    let mut reader = Reader::new(expression, OPERATORS);
    let read = reader.expression();
    assert!(reader.is_done(), "not understood: {expression}");
    (watched, read, *period)
}

fn key(template: &Value, [namespace, name, dimensions]: [Value; 3]) -> Key {
    let dimension = |one: &Value| (text(&one["Name"]).to_owned(), deployed::string(template, &one["Value"]));
    (text(&namespace).to_owned(), text(&name).to_owned(), items(&dimensions).iter().map(dimension).collect())
}

fn seconds(template: &Value, value: &Value) -> Duration {
    Duration::from_secs(deployed::number(template, value) as u64)
}

/// Evaluates metric math. A value that is missing beside another counts as 0; what is computed from missing values alone is missing.
fn evaluate(expression: &Expression, metric: &impl Fn(&str) -> Option<f64>) -> Option<f64> {
    match expression {
        Expression::Number(value) => Some(*value),
        Expression::Name(id) => metric(id),
        Expression::Binary(operator, sides) => {
            let [left, right] = &**sides;
            let (left, right) = (evaluate(left, metric), evaluate(right, metric));
            (left.is_some() || right.is_some()).then(|| operator.apply(left.unwrap_or(0.0), right.unwrap_or(0.0)))
        }
        Expression::Call(function, arguments) => match (function.as_str(), arguments.as_slice()) {
            ("IF", [condition, then, otherwise]) => {
                evaluate(if evaluate(condition, metric)? == 0.0 { otherwise } else { then }, metric)
            }
            ("FILL", [value, missing]) => evaluate(value, metric).or_else(|| evaluate(missing, metric)),
            other => panic!("unknown function: {other:?}"),
        },
        other => panic!("unknown: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(expression: &str, metrics: &[(&str, f64)]) -> Option<f64> {
        let metric = |id: &str| metrics.iter().find(|(name, _)| *name == id).map(|(_, value)| *value);
        evaluate(&Reader::new(expression, OPERATORS).expression(), &metric)
    }

    #[test]
    fn metric_math_is_evaluated_as_cloudwatch_does() {
        let share = "IF(attempts >= 20, 100 * failures / attempts, 0)";
        assert_eq!(value(share, &[("attempts", 40.0), ("failures", 10.0)]), Some(25.0));
        assert_eq!(value(share, &[("attempts", 19.0), ("failures", 19.0)]), Some(0.0));
        assert_eq!(value(share, &[]), Some(0.0));
        let dead = "IF(FILL(a, 0) + FILL(b, 0) > 0 AND FILL(attempts, 0) == 0, 1, 0)";
        assert_eq!(value(dead, &[("b", 1.0)]), Some(1.0));
        assert_eq!(value(dead, &[("b", 1.0), ("attempts", 1.0)]), Some(0.0));
        assert_eq!(value(dead, &[]), Some(0.0));
    }
}
