//! Each function's properties in the template: its timeout, its dead-letter queue, whether Lambda
//! lets it invoke itself, and the grants of its role. A resource's name is its logical id in
//! lowercase words, without the type at its end: `WebhooksTable` is `webhooks`,
//! `SlowDeliveriesQueue` is `slow-deliveries`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::grants::{self, Grant};
use crate::template::{resources, text};

/// The types at the end of logical ids.
const TYPES: [&str; 4] = ["Table", "Queue", "Role", "Function"];

/// The functions of a template by name: `api`, `deliver`, …
#[derive(Clone, Debug)]
pub struct Stack(BTreeMap<String, Function>);

/// A function as it is deployed.
#[derive(Clone, Debug)]
pub struct Function {
    /// The longest time for an invocation.
    pub timeout: Duration,
    /// The queue for events of asynchronous invocations that Lambda has given up.
    pub dead_letter_queue: Option<String>,
    /// Whether Lambda lets it invoke itself through a queue without a limit.
    pub allows_recursion: bool,
    /// The grants of its role.
    pub grants: Vec<Grant>,
}

impl Stack {
    /// Reads a template as it is deployed with every parameter at its default.
    ///
    /// # Panics
    /// Panics if the template contains something that this model does not know.
    pub fn read(template: &Value) -> Self {
        let globals = &template["Globals"]["Function"];
        let functions = resources(template, "AWS::Serverless::Function").map(|(id, properties)| {
            let property = |name: &str| properties.get(name).or_else(|| globals.get(name)).unwrap_or(&Value::Null);
            let timeout_s = property("Timeout").as_u64().expect("a function has a timeout");
            // The property of SAM, and that of CloudFormation.
            let dead_letters = [&properties["DeadLetterQueue"], &properties["DeadLetterConfig"]];
            let dead_letters = dead_letters.into_iter().find_map(|queue| attribute_of(&queue["TargetArn"]));
            let role = attribute_of(property("Role")).expect("a function's role is in the template");
            let function = Function {
                timeout: Duration::from_secs(timeout_s),
                dead_letter_queue: dead_letters.map(name_of),
                allows_recursion: property("RecursiveLoop") == "Allow",
                grants: grants::of_role(template, role),
            };
            (name_of(id), function)
        });
        Self(functions.collect())
    }

    /// Returns the function with this name.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn function(&self, name: &str) -> &Function {
        self.0.get(name).unwrap_or_else(|| panic!("template.yaml has no function {name}"))
    }

    /// Returns all functions with their names.
    pub fn functions(&self) -> impl Iterator<Item = (&str, &Function)> {
        self.0.iter().map(|(name, function)| (name.as_str(), function))
    }
}

/// Returns the logical id in `{"Fn::GetAtt": "Id.Arn"}`.
pub(crate) fn attribute_of(value: &Value) -> Option<&str> {
    text(value.get("Fn::GetAtt")?).strip_suffix(".Arn")
}

/// Returns the name of the resource with a logical id.
pub(crate) fn name_of(id: &str) -> String {
    let id = TYPES.into_iter().find_map(|kind| id.strip_suffix(kind)).unwrap_or(id);
    let mut name = String::new();
    for character in id.chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::template;

    #[test]
    fn logical_ids_become_the_names_of_tables_and_queues() {
        let ids = ["WebhooksTable", "SlowDeliveriesQueue", "DeliveriesDeadLetters", "SchedulerRole", "ApiFunction"];
        let names = ["webhooks", "slow-deliveries", "deliveries-dead-letters", "scheduler", "api"];
        assert_eq!(ids.map(name_of), names);
    }

    #[test]
    fn the_template_has_the_four_functions() {
        let stack = Stack::read(&template());
        let names: Vec<_> = stack.functions().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["api", "deliver", "publish", "retry"]);
    }
}
