//! A stand-in for CloudWatch: it takes metrics out of log lines, and tells when an alarm goes off. It knows what the alarms of the
//! template use, and fails on anything else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use strict_aws::template::{items, text};

use crate::logs::Line;

/// How often an alarm is judged.
const MINUTE: Duration = Duration::from_secs(60);

/// The values of one metric, by its namespace, its name and its dimensions.
type Points = BTreeMap<(String, String, BTreeMap<String, String>), Vec<(Duration, f64)>>;

/// The metrics of log lines in the embedded metric format.
pub(super) struct Metrics(Points);

impl Metrics {
    /// Takes the metrics out of the lines, as the specification of the format says.
    pub(super) fn of(lines: &[Line]) -> Self {
        let mut points = Points::new();
        for Line { at, json, .. } in lines {
            for directive in json["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
                for dimensions in items(&directive["Dimensions"]) {
                    let dimension = |name: &Value| (text(name).to_owned(), text(&json[text(name)]).to_owned());
                    let dimensions: BTreeMap<_, _> = items(dimensions).iter().map(dimension).collect();
                    for metric in items(&directive["Metrics"]) {
                        let name = text(&metric["Name"]).to_owned();
                        let value = json[&name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {json}"));
                        let key = (text(&directive["Namespace"]).to_owned(), name, dimensions.clone());
                        points.entry(key).or_default().push((*at, value));
                    }
                }
            }
        }
        Self(points)
    }

    /// Returns the sum of a metric of the template over the time from `after` to `until`, or `None` without a value.
    fn sum(&self, metric: &Value, after: Duration, until: Duration) -> Option<f64> {
        let dimension = |one: &Value| {
            let function = text(&one["Value"]["Ref"]).strip_suffix("Function").expect("a function");
            (text(&one["Name"]).to_owned(), format!("hookline-{}", function.to_lowercase()))
        };
        let dimensions = items(&metric["Dimensions"]).iter().map(dimension).collect();
        let key = (text(&metric["Namespace"]).to_owned(), text(&metric["MetricName"]).to_owned(), dimensions);
        let within = self.0.get(&key)?.iter().filter(|(at, _)| (after..until).contains(at));
        let values: Vec<_> = within.map(|(_, value)| *value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

/// An alarm of the template.
pub(super) struct Alarm<'a> {
    template: &'a Value,
    properties: &'a Value,
}

impl<'a> Alarm<'a> {
    pub(super) fn new(template: &'a Value, properties: &'a Value) -> Self {
        assert_eq!(properties["ComparisonOperator"], "GreaterThanThreshold");
        assert_eq!(properties["TreatMissingData"], "notBreaching");
        Self { template, properties }
    }

    /// Whether it watches metrics of this namespace.
    pub(super) fn watches(&self, namespace: &str) -> bool {
        self.metrics().iter().any(|(_, metric)| metric["Namespace"] == namespace)
    }

    /// Returns when the alarm goes off first, judged each minute until `end`.
    pub(super) fn goes_off(&self, metrics: &Metrics, end: Duration) -> Option<Duration> {
        let minutes = (1..).map(|minute| MINUTE * minute).take_while(|now| *now <= end);
        minutes.into_iter().find(|now| self.is_on(metrics, *now))
    }

    fn is_on(&self, metrics: &Metrics, now: Duration) -> bool {
        let periods = number(&self.properties["EvaluationPeriods"]) as u32;
        let wanted = self.properties.get("DatapointsToAlarm").map_or(periods, |count| number(count) as u32);
        let is_over = |period: u32| {
            let until = now.checked_sub(self.period() * period);
            let value = until.and_then(|until| self.value(metrics, until.saturating_sub(self.period()), until));
            value.is_some_and(|value| value > self.threshold())
        };
        (0..periods).filter(|period| is_over(*period)).count() as u32 >= wanted
    }

    /// Returns the alarm's value in one period.
    fn value(&self, metrics: &Metrics, after: Duration, until: Duration) -> Option<f64> {
        let values = self.metrics().into_iter().map(|(id, metric)| (id, metrics.sum(metric, after, until)));
        let values: BTreeMap<_, _> = values.collect();
        match self.expression() {
            Some(expression) => Expression::new(expression, &values).whole(),
            None => values.into_values().next().expect("one metric"),
        }
    }

    /// Returns the metrics with their ids.
    fn metrics(&self) -> Vec<(&'a str, &'a Value)> {
        match self.properties["Metrics"].as_array() {
            Some(several) => {
                let stated = several.iter().filter(|metric| metric.get("MetricStat").is_some());
                stated.map(|metric| (text(&metric["Id"]), &metric["MetricStat"]["Metric"])).collect()
            }
            None => vec![("", self.properties)],
        }
    }

    fn expression(&self) -> Option<&'a str> {
        self.properties["Metrics"].as_array()?.iter().find_map(|metric| metric.get("Expression")).map(text)
    }

    fn period(&self) -> Duration {
        let stated = self.properties["Metrics"].as_array().map(|metrics| &metrics[0]["MetricStat"]);
        let (period, statistic) = match stated {
            Some(stated) => (&stated["Period"], &stated["Stat"]),
            None => (&self.properties["Period"], &self.properties["Statistic"]),
        };
        assert_eq!(statistic, "Sum");
        Duration::from_secs(number(period) as u64)
    }

    fn threshold(&self) -> f64 {
        let threshold = &self.properties["Threshold"];
        number(threshold["Ref"].as_str().map_or(threshold, |name| &self.template["Parameters"][name]["Default"]))
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} should be a number"))
}

/// Evaluates metric math: `IF`, `FILL`, `AND`, comparisons, sums and products. A value that is missing makes missing what is computed
/// from it.
struct Expression<'a> {
    words: Vec<&'a str>,
    next: usize,
    values: &'a BTreeMap<&'a str, Option<f64>>,
}

impl<'a> Expression<'a> {
    fn new(expression: &'a str, values: &'a BTreeMap<&'a str, Option<f64>>) -> Self {
        let word = regex_lite::Regex::new(r"\w+|>=|==|[>()+*/,]").expect("a pattern");
        Self { words: word.find_iter(expression).map(|word| word.as_str()).collect(), next: 0, values }
    }

    fn whole(mut self) -> Option<f64> {
        let value = self.conjunction();
        assert_eq!(self.next, self.words.len(), "not understood: {:?}", &self.words[self.next..]);
        value
    }

    fn conjunction(&mut self) -> Option<f64> {
        let mut value = self.comparison();
        while self.take("AND") {
            let other = self.comparison();
            value = both(value, other, |one, other| f64::from(one != 0.0 && other != 0.0));
        }
        value
    }

    fn comparison(&mut self) -> Option<f64> {
        let value = self.sum();
        let compare: fn(f64, f64) -> bool = if self.take(">=") {
            |one, other| one >= other
        } else if self.take("==") {
            |one, other| (one - other).abs() < f64::EPSILON
        } else if self.take(">") {
            |one, other| one > other
        } else {
            return value;
        };
        let other = self.sum();
        both(value, other, |one, other| f64::from(compare(one, other)))
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product();
        while self.take("+") {
            let other = self.product();
            value = both(value, other, |one, other| one + other);
        }
        value
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.atom();
        loop {
            let compute: fn(f64, f64) -> f64 = if self.take("*") {
                |one, other| one * other
            } else if self.take("/") {
                |one, other| one / other
            } else {
                return value;
            };
            let other = self.atom();
            value = both(value, other, compute);
        }
    }

    fn atom(&mut self) -> Option<f64> {
        if self.take("IF") {
            let [condition, then, otherwise] = self.arguments();
            return if condition? == 0.0 { otherwise } else { then };
        }
        if self.take("FILL") {
            let [value, missing] = self.arguments();
            return value.or(missing);
        }
        let word = self.words[self.next];
        self.next += 1;
        match word.parse() {
            Ok(number) => Some(number),
            Err(_) => *self.values.get(word).unwrap_or_else(|| panic!("unknown: {word}")),
        }
    }

    fn arguments<const COUNT: usize>(&mut self) -> [Option<f64>; COUNT] {
        assert!(self.take("("));
        let arguments = std::array::from_fn(|index| {
            assert!(index == 0 || self.take(","));
            self.conjunction()
        });
        assert!(self.take(")"));
        arguments
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.words.get(self.next) == Some(&word);
        self.next += usize::from(is_next);
        is_next
    }
}

fn both(one: Option<f64>, other: Option<f64>, compute: impl Fn(f64, f64) -> f64) -> Option<f64> {
    Some(compute(one?, other?))
}
