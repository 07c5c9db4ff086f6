//! Values of the template, as they are in a stack whose parameters have their defaults.

use regex_lite::{Captures, Regex};
use serde_json::Value;
use strict_aws::template::{items, resources, text};

use crate::logs::STACK;

/// Returns a value of the template with its references resolved.
///
/// # Panics
/// Panics if the value is made in another way than by `!Ref` and `!Sub`.
pub(super) fn value(template: &Value, value: &Value) -> Value {
    if let Some(name) = value.get("Ref") {
        return reference(template, text(name));
    }
    if let Some(pattern) = value.get("Fn::Sub") {
        let name = Regex::new(r"\$\{([\w:]+)\}").expect("a pattern");
        let filled = name.replace_all(text(pattern), |found: &Captures<'_>| {
            let value = reference(template, &found[1]);
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        });
        return filled.into_owned().into();
    }
    assert!(!value.is_object() && !value.is_array(), "{value} is made in a way that this test does not know");
    value.clone()
}

/// Returns a value of the template that is a text.
pub(super) fn string(template: &Value, member: &Value) -> String {
    text(&value(template, member)).to_owned()
}

/// Returns a value of the template that is a number.
pub(super) fn number(template: &Value, member: &Value) -> f64 {
    let value = value(template, member);
    value.as_f64().unwrap_or_else(|| panic!("{value} should be a number"))
}

fn reference(template: &Value, name: &str) -> Value {
    if name == "AWS::StackName" {
        return STACK.into();
    }
    if let Some(parameter) = template["Parameters"].get(name) {
        return parameter["Default"].clone();
    }
    let resource = &template["Resources"][name];
    let named = match resource["Type"].as_str() {
        Some("AWS::Serverless::Function") => &resource["Properties"]["FunctionName"],
        Some("AWS::Logs::LogGroup") => &resource["Properties"]["LogGroupName"],
        other => panic!("{name} is a {other:?}, which this test does not know"),
    };
    value(template, named)
}

/// A query that the template saves.
#[derive(Debug)]
pub(super) struct SavedQuery {
    /// Its name, without the stack's.
    pub(super) name: String,
    pub(super) text: String,
    /// The names of the log groups that it reads. Empty if its text names them.
    pub(super) groups: Vec<String>,
}

/// Returns the saved queries, and those of the dashboard.
pub(super) fn queries(template: &Value) -> Vec<SavedQuery> {
    let saved = resources(template, "AWS::Logs::QueryDefinition").map(|(_, query)| SavedQuery {
        name: string(template, &query["Name"]).trim_start_matches(&format!("{STACK}/")).to_owned(),
        text: string(template, &query["QueryString"]),
        groups: items(&query["LogGroupNames"]).iter().map(|group| string(template, group)).collect(),
    });
    let dashboards = resources(template, "AWS::CloudWatch::Dashboard");
    let widgets = dashboards.flat_map(|(_, board)| items(&board["DashboardBody"]["Fn::ToJsonString"]["widgets"]));
    let shown = widgets.filter(|widget| widget["type"] == "log").map(|widget| SavedQuery {
        name: format!("dashboard/{}", text(&widget["properties"]["title"])),
        text: string(template, &widget["properties"]["query"]),
        groups: Vec::new(),
    });
    saved.chain(shown).collect()
}
