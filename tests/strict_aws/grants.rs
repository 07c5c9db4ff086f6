//! IAM: the permissions that a role grants, and those that a call needs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::call::{Call, Service};
use crate::stack::{attribute_of, name_of};
use crate::template::{items, text};

/// The template's conditions that are false when every parameter has its default.
const NOT_BY_DEFAULT: [&str; 3] = ["HasKey", "HasVpc", "IsTraced"];

/// The permission for one action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The IAM action, such as `dynamodb:GetItem`.
    pub action: String,
    /// The resource, such as `table/webhooks`, `queue/events` or `role/scheduler`. A `*` at the end
    /// stands for any text.
    pub resource: String,
    /// The conditions, all of which must hold.
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Condition {
    /// The condition key, such as `dynamodb:LeadingKeys`.
    key: String,
    /// The allowed values: each value of the request must match one of them.
    patterns: Vec<String>,
}

/// A permission that a call needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The IAM action, such as `dynamodb:GetItem`.
    pub action: String,
    /// The resource, such as `table/webhooks`.
    pub resource: String,
    /// The request's values of IAM's condition keys.
    context: BTreeMap<&'static str, Vec<String>>,
}

impl Need {
    /// Creates a need without condition keys.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: BTreeMap::new() }
    }

    fn with(mut self, key: &'static str, values: Vec<String>) -> Self {
        self.context.insert(key, values);
        self
    }
}

impl Grant {
    /// Returns whether the grant covers `need`. A condition on a key that the request does not have
    /// holds.
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

/// Returns whether `text` matches a pattern, which may have one `*`, at its end.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

/// Returns the grants of a role of the template, deployed with every parameter at its default.
pub(crate) fn of_role(template: &Value, role: &str) -> Vec<Grant> {
    let properties = &template["Resources"][role]["Properties"];
    let policies = items(&properties["Policies"]).iter();
    let statements = policies.flat_map(|policy| items(&policy["PolicyDocument"]["Statement"]));
    let mut grants = Vec::new();
    for statement in statements.filter(|statement| is_in_force(statement)) {
        assert_eq!(statement["Effect"], "Allow", "{role}: this model knows no effect but Allow");
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
    assert!(NOT_BY_DEFAULT.contains(&text(&choice[0])), "this model does not know the condition in {choice}");
    false
}

fn conditions(condition: &Value) -> Vec<Condition> {
    let operators = condition.as_object().into_iter().flatten();
    let conditions = operators.flat_map(|(operator, keys)| {
        let known = ["StringEquals", "ForAllValues:StringEquals", "ForAllValues:StringLike"];
        assert!(known.contains(&operator.as_str()), "this model does not know the operator {operator}");
        keys.as_object().into_iter().flatten()
    });
    let conditions = conditions.map(|(key, values)| {
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        Condition { key: key.clone(), patterns: values.iter().map(|value| text(value).to_owned()).collect() }
    });
    conditions.collect()
}

/// Returns the name of a statement's resource, in the form of [`Grant::resource`].
fn resource_of(template: &Value, resource: &Value) -> String {
    if let Some(id) = attribute_of(resource) {
        let kind = match text(&template["Resources"][id]["Type"]) {
            "AWS::DynamoDB::Table" => "table",
            "AWS::SQS::Queue" => "queue",
            "AWS::IAM::Role" => "role",
            "AWS::Logs::LogGroup" => "log-group",
            other => panic!("{id}: this model does not know resources of type {other}"),
        };
        return format!("{kind}/{}", name_of(id));
    }
    let arn = text(&resource["Fn::Sub"]);
    match arn.rsplit_once(":schedule/") {
        Some((_, name)) => format!("schedule/{name}").replace("${ScheduleGroup}", "hookline"),
        None => arn.to_owned(),
    }
}

/// Returns every permission that a call needs.
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
            // IAM has no actions for batches: `sqs:SendMessage` covers `SendMessageBatch`.
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

/// IAM's condition key for the partitions that a request names.
const LEADING_KEYS: &str = "dynamodb:LeadingKeys";

/// Returns the partitions that a request for one table names.
fn leading_keys(table: &str, body: &Value) -> Vec<String> {
    if let Some(key) = [&body["Key"], &body["Item"]].into_iter().find(|key| key.is_object()) {
        return vec![partition_of(table, key)];
    }
    vec![queried_partition(body).to_owned()]
}

/// Returns the partition that a `Query` reads. Its key condition must begin with
/// `#partition = :partition`.
pub fn queried_partition(body: &Value) -> &str {
    let condition = body["KeyConditionExpression"].as_str().unwrap_or_default();
    let value = condition.split_whitespace().nth(2).unwrap_or_default();
    body["ExpressionAttributeValues"][value]["S"].as_str().unwrap_or_default()
}

/// Returns the partition of a key.
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

    fn table_call(operation: &str, body: Value) -> Call {
        Call { service: Service::DynamoDb, operation: operation.to_owned(), subject: String::new(), body }
    }

    #[test]
    fn a_batch_read_needs_a_grant_for_each_table() {
        let batch = |table: &str| {
            let keys = json!({"Keys": [{"partition": {"S": "acme#0"}, "id": {"S": "evt_1"}}]});
            table_call("BatchGetItem", json!({"RequestItems": {"deliveries": keys.clone(), table: keys}}))
        };
        assert!(is_allowed("deliver", &batch("events")));
        assert!(!is_allowed("publish", &batch("tokens")));
    }

    #[test]
    fn a_condition_on_leading_keys_limits_the_partitions() {
        let update = |account: &str| {
            let key = json!({"account": {"S": account}, "id": {"S": "pace"}});
            table_call("UpdateItem", json!({"TableName": "webhooks", "Key": key}))
        };
        assert!(is_allowed("deliver", &update("#pace#acme")));
        assert!(!is_allowed("deliver", &update("acme")));
        assert!(!is_allowed("publish", &update("#pace#acme")));
    }

    #[test]
    fn creating_a_schedule_needs_permission_to_pass_its_role() {
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
