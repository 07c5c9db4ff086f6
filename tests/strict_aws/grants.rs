//! IAM: what a role allows, by action and resource and condition; and what a call needs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::call::{Call, Service};
use crate::stack::{attribute_of, name_of};
use crate::template::{items, text};

/// Conditions of the template that hold only with parameters other than the defaults.
const NOT_BY_DEFAULT: [&str; 2] = ["HasKey", "IsTraced"];

/// One action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// `dynamodb:GetItem`
    pub action: String,
    /// `table/webhooks`, `queue/events`, `role/scheduler`; a `*` at the end stands for anything.
    pub resource: String,
    /// What must hold besides.
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Condition {
    key: String,
    /// One of which each of the request's values must match.
    patterns: Vec<String>,
}

/// What a call needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// `dynamodb:GetItem`
    pub action: String,
    /// `table/webhooks`
    pub resource: String,
    /// The values of IAM's condition keys.
    context: BTreeMap<&'static str, Vec<String>>,
}

impl Need {
    /// A need that no condition asks more about.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: BTreeMap::new() }
    }

    fn with(mut self, key: &'static str, values: Vec<String>) -> Self {
        self.context.insert(key, values);
        self
    }
}

impl Grant {
    /// Whether it allows what is needed.
    pub fn allows(&self, need: &Need) -> bool {
        let unknown = Vec::new();
        self.action == need.action
            && matches(&self.resource, &need.resource)
            && self.conditions.iter().all(|condition| {
                let values = need.context.get(condition.key.as_str()).unwrap_or(&unknown);
                values.iter().all(|value| condition.patterns.iter().any(|pattern| matches(pattern, value)))
            })
    }
}

/// A pattern with at most one `*`, at its end.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

/// What a role of the template allows.
pub(crate) fn of_role(template: &Value, role: &str) -> Vec<Grant> {
    let properties = &template["Resources"][role]["Properties"];
    let policies = items(&properties["Policies"]).iter();
    let statements = policies.flat_map(|policy| items(&policy["PolicyDocument"]["Statement"]));
    let mut grants = Vec::new();
    for statement in statements.filter(|statement| is_in_force(statement)) {
        assert_eq!(statement["Effect"], "Allow", "{role}: only what is allowed is known here");
        let conditions = conditions(&statement["Condition"]);
        for action in items(&statement["Action"]) {
            grants.extend(items(&statement["Resource"]).iter().map(|resource| Grant {
                action: text(action).to_owned(),
                resource: resource_of(template, resource),
                conditions: conditions.clone(),
            }));
        }
    }
    grants
}

fn is_in_force(statement: &Value) -> bool {
    let Some(choice) = statement.get("Fn::If") else { return true };
    assert!(NOT_BY_DEFAULT.contains(&text(&choice[0])), "{choice} is not known here");
    false
}

fn conditions(condition: &Value) -> Vec<Condition> {
    let operators = condition.as_object().into_iter().flatten();
    let conditions = operators.flat_map(|(operator, keys)| {
        let known = ["StringEquals", "ForAllValues:StringEquals", "ForAllValues:StringLike"];
        assert!(known.contains(&operator.as_str()), "the operator {operator} is not known here");
        keys.as_object().into_iter().flatten()
    });
    let conditions = conditions.map(|(key, values)| {
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        Condition { key: key.clone(), patterns: values.iter().map(|value| text(value).to_owned()).collect() }
    });
    conditions.collect()
}

/// The name of a statement's resource.
fn resource_of(template: &Value, resource: &Value) -> String {
    if let Some(id) = attribute_of(resource) {
        let kind = match text(&template["Resources"][id]["Type"]) {
            "AWS::DynamoDB::Table" => "table",
            "AWS::SQS::Queue" => "queue",
            "AWS::IAM::Role" => "role",
            "AWS::Logs::LogGroup" => "log-group",
            other => panic!("{id}: a resource of type {other} is not known here"),
        };
        return format!("{kind}/{}", name_of(id));
    }
    let arn = text(&resource["Fn::Sub"]);
    match arn.rsplit_once(":schedule/") {
        Some((_, name)) => format!("schedule/{name}").replace("${ScheduleGroup}", "hookline"),
        None => arn.to_owned(),
    }
}

/// What a call needs, all of it.
pub fn needs(call: &Call) -> Vec<Need> {
    let action = |service: &str| format!("{service}:{}", call.api_operation());
    match call.service {
        Service::DynamoDb if call.operation == "BatchGetItem" => {
            let tables = call.body["RequestItems"].as_object().into_iter().flatten();
            let needs = tables.map(|(table, wanted)| {
                let keys = items(&wanted["Keys"]).iter().map(|key| partition_of(table, key)).collect();
                Need::new(action("dynamodb"), format!("table/{table}")).with(LEADING_KEYS, keys)
            });
            needs.collect()
        }
        Service::DynamoDb => {
            let table = text(&call.body["TableName"]);
            let need = Need::new(action("dynamodb"), format!("table/{table}"));
            vec![need.with(LEADING_KEYS, leading_keys(table, &call.body))]
        }
        Service::Sqs => {
            // IAM knows a batch of messages by what is done to each.
            let action = action("sqs");
            let action = action.strip_suffix("Batch").unwrap_or(&action);
            vec![Need::new(action, format!("queue/{}", call.subject))]
        }
        Service::Scheduler => {
            let group = call.body["GroupName"].as_str().unwrap_or("default");
            let mut needs = vec![Need::new(action("scheduler"), format!("schedule/{group}/{}", call.subject))];
            if let Some(role) = call.body["Target"]["RoleArn"].as_str() {
                let (_, name) = role.split_once(":role/").expect("a role's ARN");
                let passed_to = vec!["scheduler.amazonaws.com".to_owned()];
                needs.push(Need::new("iam:PassRole", format!("role/{name}")).with("iam:PassedToService", passed_to));
            }
            needs
        }
    }
}

const LEADING_KEYS: &str = "dynamodb:LeadingKeys";

/// The partitions that a request about one table names.
fn leading_keys(table: &str, body: &Value) -> Vec<String> {
    if let Some(key) = [&body["Key"], &body["Item"]].into_iter().find(|key| key.is_object()) {
        return vec![partition_of(table, key)];
    }
    vec![queried_partition(body).to_owned()]
}

/// The partition that a `Query` reads: `#partition = :partition` stands first in its condition.
pub fn queried_partition(body: &Value) -> &str {
    let condition = body["KeyConditionExpression"].as_str().unwrap_or_default();
    let value = condition.split_whitespace().nth(2).unwrap_or_default();
    body["ExpressionAttributeValues"][value]["S"].as_str().unwrap_or_default()
}

/// The partition of a key.
pub fn partition_of(table: &str, key: &Value) -> String {
    let name = if table == "webhooks" { "account" } else { "partition" };
    key[name]["S"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stack::Stack;
    use crate::template::template;

    fn is_allowed(function: &str, call: &Call) -> bool {
        let stack = Stack::read(&template());
        let grants = &stack.function(function).grants;
        needs(call).iter().all(|need| grants.iter().any(|grant| grant.allows(need)))
    }

    fn of_table(operation: &str, body: Value) -> Call {
        Call { service: Service::DynamoDb, operation: operation.to_owned(), subject: String::new(), body }
    }

    #[test]
    fn a_batch_is_judged_table_by_table() {
        let batch = |table: &str| {
            let keys = json!({"Keys": [{"partition": {"S": "acme#0"}, "id": {"S": "evt_1"}}]});
            of_table("BatchGetItem", json!({"RequestItems": {"deliveries": keys.clone(), table: keys}}))
        };
        assert!(is_allowed("deliver", &batch("events")));
        assert!(!is_allowed("publish", &batch("tokens")));
    }

    #[test]
    fn leading_keys_are_held_to_their_condition() {
        let pace = |account: &str| {
            let key = json!({"account": {"S": account}, "id": {"S": "pace"}});
            of_table("UpdateItem", json!({"TableName": "webhooks", "Key": key}))
        };
        assert!(is_allowed("deliver", &pace("#pace#acme")));
        assert!(!is_allowed("deliver", &pace("acme")));
        assert!(!is_allowed("publish", &pace("#pace#acme")));
    }

    #[test]
    fn a_schedule_needs_its_role_as_well() {
        let schedule = |role: &str, group: &str| {
            let target = json!({"RoleArn": format!("arn:aws:iam::000000000000:role/{role}")});
            let body = json!({"GroupName": group, "Target": target});
            Call { service: Service::Scheduler, operation: "POSTSchedule".to_owned(), subject: "a".to_owned(), body }
        };
        assert!(is_allowed("deliver", &schedule("scheduler", "hookline")));
        assert!(!is_allowed("deliver", &schedule("other", "hookline")));
        assert!(!is_allowed("deliver", &schedule("scheduler", "default")));
        assert!(!is_allowed("api", &schedule("scheduler", "hookline")));
    }
}
