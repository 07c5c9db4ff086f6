//! AWS's requests and errors on the wire, as far as the faults and the record need them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value, json};

use crate::faults::Kind;

/// An AWS service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Sqs,
    Scheduler,
}

impl Service {
    /// What stands before the operation in `x-amz-target`.
    pub(crate) fn target_prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB_20120810.",
            Self::Sqs => "AmazonSQS.",
            Self::Scheduler => "",
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    /// What it is about: a table with a key, a queue, a schedule.
    pub(crate) subject: String,
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn read(request: &HttpRequest) -> Self {
        let bytes = request.body().bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let (service, operation) = if let Some(operation) = target.strip_prefix(Service::DynamoDb.target_prefix()) {
            (Service::DynamoDb, operation.to_owned())
        } else if let Some(operation) = target.strip_prefix(Service::Sqs.target_prefix()) {
            (Service::Sqs, operation.to_owned())
        } else {
            (Service::Scheduler, format!("{}Schedule", request.method()))
        };
        let subject = match service {
            Service::DynamoDb => subject_of_item(&body),
            Service::Sqs => last_segment(body["QueueUrl"].as_str().unwrap_or_default()).to_owned(),
            Service::Scheduler => {
                let path = request.uri().split('?').next().unwrap_or_default();
                last_segment(path).to_owned()
            }
        };
        Self { service, operation, subject, body }
    }

    /// The keys of a `BatchGetItem`.
    pub(crate) fn keys(&self) -> Vec<String> {
        let tables = self.body["RequestItems"].as_object().into_iter().flatten();
        let keys = tables.flat_map(|(table, wanted)| {
            wanted["Keys"].as_array().into_iter().flatten().map(move |key| key_text(table, key))
        });
        keys.collect()
    }

    /// False for a read that takes what may be past: every decision of Hookline's is about what is so now.
    pub(crate) fn reads_consistently(&self) -> bool {
        match self.operation.as_str() {
            "GetItem" | "Query" => self.body["ConsistentRead"] == true,
            "BatchGetItem" => {
                let mut tables = self.body["RequestItems"].as_object().into_iter().flatten();
                tables.all(|(_, wanted)| wanted["ConsistentRead"] == true)
            }
            _ => true,
        }
    }

    /// The service's own failure.
    pub(crate) fn failed(&self) -> HttpResponse {
        match self.service {
            Service::DynamoDb => error(500, "InternalServerError", None),
            Service::Sqs => error(503, "ServiceUnavailable", None),
            Service::Scheduler => error(500, "InternalServerException", None),
        }
    }

    /// The service's refusal of too many calls.
    pub(crate) fn throttled(&self) -> HttpResponse {
        match self.service {
            Service::DynamoDb => {
                error(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", None)
            }
            Service::Sqs => error(403, "com.amazonaws.sqs#RequestThrottled", Some("RequestThrottled;Sender")),
            Service::Scheduler => error(429, "ThrottlingException", None),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.subject)
    }
}

fn error(status: u16, code: &str, query_code: Option<&str>) -> HttpResponse {
    let body = json!({"__type": code, "message": "injected", "Message": "injected"});
    let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body.to_string()));
    response.headers_mut().insert("x-amzn-errortype", code.to_owned());
    if let Some(query_code) = query_code {
        response.headers_mut().insert("x-amzn-query-error", query_code.to_owned());
    }
    response
}

fn subject_of_item(body: &Value) -> String {
    let table = body["TableName"].as_str().unwrap_or_default();
    let key = [&body["Key"], &body["Item"]].into_iter().find(|key| key.is_object());
    key.map_or_else(|| table.to_owned(), |key| key_text(table, key))
}

/// A table's key, or an item's: the table, the partition and the id.
pub(crate) fn key_text(table: &str, key: &Value) -> String {
    let partition = if table == "webhooks" { &key["account"] } else { &key["partition"] };
    let text = |value: &Value| value["S"].as_str().unwrap_or_default().to_owned();
    format!("{table}/{}/{}", text(partition), text(&key["id"]))
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// DynamoDB's typed JSON as plain JSON; bytes stay base64.
pub(crate) fn plain(item: &Value) -> Value {
    let Some(fields) = item.as_object() else { return Value::Null };
    Value::Object(fields.iter().map(|(name, value)| (name.clone(), plain_value(value))).collect::<Map<_, _>>())
}

fn plain_value(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "N" => serde_json::from_str(value.as_str().unwrap_or("null")).unwrap_or_default(),
        "M" => plain(value),
        "L" => Value::Array(value.as_array().into_iter().flatten().map(plain_value).collect()),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}

/// Calls that fail for a while, whoever makes them.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<BTreeMap<String, (Kind, i64)>>);

impl Outages {
    /// Lets `call` fail until `until_ms`.
    pub(crate) fn begin(&self, call: String, kind: Kind, until_ms: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(call, (kind, until_ms));
    }

    /// How `call` fails now, if it does.
    pub(crate) fn under_way(&self, call: &str, now_ms: i64) -> Option<Kind> {
        let outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outages.get(call).filter(|(_, until_ms)| now_ms < *until_ms).map(|(kind, _)| *kind)
    }
}
