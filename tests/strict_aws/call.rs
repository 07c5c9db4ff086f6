//! Reads the SDK's requests to AWS and builds AWS's error responses.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value, json};

/// An AWS service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB.
    DynamoDb,
    /// SQS.
    Sqs,
    /// EventBridge Scheduler.
    Scheduler,
}

impl Service {
    /// Returns what precedes the operation in `x-amz-target`. The scheduler has no such header.
    pub fn target_prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB_20120810.",
            Self::Sqs => "AmazonSQS.",
            Self::Scheduler => "",
        }
    }
}

/// One call of an AWS service.
#[derive(Clone, Debug)]
pub struct Call {
    /// The service that is called.
    pub service: Service,
    /// The operation, such as `PutItem`. For the scheduler: the HTTP method and `Schedule`, such as
    /// `POSTSchedule`.
    pub operation: String,
    /// The resource: a table with a key, a queue, or a schedule.
    pub subject: String,
    /// The request's body, or `null` if it is not JSON.
    pub body: Value,
}

impl Call {
    /// Reads a request of the SDK.
    pub fn read(request: &HttpRequest) -> Self {
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

    /// Returns the keys of a `BatchGetItem`, as [`key_text`] writes them.
    pub fn keys(&self) -> Vec<String> {
        let tables = self.body["RequestItems"].as_object().into_iter().flatten();
        let keys = tables.flat_map(|(table, wanted)| {
            wanted["Keys"].as_array().into_iter().flatten().map(move |key| key_text(table, key))
        });
        keys.collect()
    }

    /// Returns the message bodies of a `SendMessageBatch`.
    pub fn bodies(&self) -> Vec<String> {
        let entries = self.body["Entries"].as_array().into_iter().flatten();
        entries.filter_map(|entry| Some(entry["MessageBody"].as_str()?.to_owned())).collect()
    }

    /// Returns how many entries a batch of messages has.
    pub fn entries(&self) -> usize {
        self.body["Entries"].as_array().map_or(0, Vec::len)
    }

    /// Returns the service's error for a request that is not valid.
    pub fn invalid(&self) -> HttpResponse {
        match self.service {
            Service::DynamoDb => error(400, "com.amazon.coral.validate#ValidationException", None),
            Service::Sqs => error(400, "com.amazonaws.sqs#InvalidParameterValue", Some("InvalidParameterValue;Sender")),
            Service::Scheduler => error(400, "ValidationException", None),
        }
    }

    /// Returns the operation's name in IAM and in the service's model.
    pub fn api_operation(&self) -> &str {
        match self.operation.as_str() {
            "POSTSchedule" => "CreateSchedule",
            "GETSchedule" => "GetSchedule",
            "PUTSchedule" => "UpdateSchedule",
            "DELETESchedule" => "DeleteSchedule",
            operation => operation,
        }
    }

    /// Returns the service's error for a call that the caller's role does not allow.
    pub fn denied(&self) -> HttpResponse {
        let code = "com.amazon.coral.service#AccessDeniedException";
        match self.service {
            Service::DynamoDb => error(400, code, None),
            Service::Sqs => error(403, code, Some("AccessDenied;Sender")),
            Service::Scheduler => error(403, "AccessDeniedException", None),
        }
    }

    /// Returns the service's internal error.
    pub fn failed(&self) -> HttpResponse {
        match self.service {
            Service::DynamoDb => error(500, "InternalServerError", None),
            Service::Sqs => error(503, "ServiceUnavailable", None),
            Service::Scheduler => error(500, "InternalServerException", None),
        }
    }

    /// Returns the service's throttling error.
    pub fn throttled(&self) -> HttpResponse {
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

/// Builds an error response of the JSON protocols. `query_code` is the error's name in SQS's older
/// query protocol.
pub fn error(status: u16, code: &str, query_code: Option<&str>) -> HttpResponse {
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

/// Writes a key, or an item's key, as text: table, partition and id.
pub fn key_text(table: &str, key: &Value) -> String {
    let partition = if table == "webhooks" { &key["account"] } else { &key["partition"] };
    let text = |value: &Value| value["S"].as_str().unwrap_or_default().to_owned();
    format!("{table}/{}/{}", text(partition), text(&key["id"]))
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Converts DynamoDB's typed JSON to plain JSON. Bytes stay base64.
pub fn plain(item: &Value) -> Value {
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
