//! The read and write units of a call to DynamoDB, by AWS's rules. They are counted from the request and from the items that are
//! stored before and after it. The capacity that the answer names is not used, and nothing in the call is changed: the product's
//! own count can be compared with this one.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use embedded_aws::EmbeddedAws;
use serde_json::{Value, json};

/// The bytes of a write unit and of a consistent read unit.
const WRITE_BYTES: usize = 1024;
const READ_BYTES: usize = 4 * 1024;

/// The units of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Units {
    pub(super) reads: f64,
    pub(super) writes: f64,
}

/// A call whose units are being counted.
pub(super) struct Counted<'a> {
    aws: &'a EmbeddedAws,
    /// A copy of the request, whose headers the counting's own calls have.
    like: HttpRequest,
    operation: String,
    request: Value,
    /// The bytes of the written item before the call.
    before: usize,
}

impl<'a> Counted<'a> {
    /// Looks at a call before it is made.
    pub(super) async fn begin(aws: &'a EmbeddedAws, request: &HttpRequest, operation: &str) -> Self {
        let like = request.try_clone().expect("the SDK's bodies are in memory");
        let request = serde_json::from_slice(like.body().bytes().unwrap_or_default()).unwrap_or_default();
        let mut counted = Self { aws, like, operation: operation.to_owned(), request, before: 0 };
        if counted.is_write() {
            counted.before = counted.written_item().await;
        }
        counted
    }

    pub(super) fn is_write(&self) -> bool {
        matches!(self.operation.as_str(), "PutItem" | "UpdateItem" | "DeleteItem")
    }

    /// Returns the units of the call, once it has been answered with `answer`.
    pub(super) async fn end(self, answer: &[u8]) -> Units {
        let consistent = |asked: &Value| if asked["ConsistentRead"] == true { 1.0 } else { 0.5 };
        match self.operation.as_str() {
            "GetItem" => {
                let bytes = self.stored(&self.request["TableName"], &self.request["Key"]).await;
                Units { reads: units(bytes, READ_BYTES) * consistent(&self.request), writes: 0.0 }
            }
            "BatchGetItem" => {
                let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
                let mut reads = 0.0;
                for (table, wanted) in self.request["RequestItems"].as_object().into_iter().flatten() {
                    assert!(wanted.get("ProjectionExpression").is_none(), "the answer has parts of items only");
                    let found = answer["Responses"][table].as_array().expect("items");
                    let missing = wanted["Keys"].as_array().expect("keys").len() - found.len();
                    let sizes = found.iter().map(item_bytes).chain(std::iter::repeat_n(0, missing));
                    reads += sizes.map(|bytes| units(bytes, READ_BYTES) * consistent(wanted)).sum::<f64>();
                }
                Units { reads, writes: 0.0 }
            }
            "Query" => {
                let bytes = self.queried().await;
                Units { reads: units(bytes, READ_BYTES) * consistent(&self.request), writes: 0.0 }
            }
            _ if self.is_write() => {
                // A write whose condition failed costs as much as one that succeeded.
                let new = match self.operation.as_str() {
                    "PutItem" => item_bytes(&self.request["Item"]),
                    _ => self.written_item().await,
                };
                Units { reads: 0.0, writes: units(self.before.max(new), WRITE_BYTES) }
            }
            other => panic!("the units of {other} are not counted"),
        }
    }

    /// Returns the bytes of the item that the call writes, as it is stored now.
    async fn written_item(&self) -> usize {
        let item = self.request.get("Key").or(self.request.get("Item")).expect("a write has a key");
        let partition = if item.get("partition").is_some() { "partition" } else { "account" };
        let key = json!({partition: item[partition], "id": item["id"]});
        self.stored(&self.request["TableName"], &key).await
    }

    /// Returns the bytes of a stored item, or 0 if there is none.
    async fn stored(&self, table: &Value, key: &Value) -> usize {
        let answer = self.ask("GetItem", &json!({"TableName": table, "Key": key, "ConsistentRead": true})).await;
        item_bytes(&answer["Item"])
    }

    /// Returns the bytes of the items that the query reads: those that its filter leaves out too, and all their attributes.
    async fn queried(&self) -> usize {
        let mut query = self.request.clone();
        let members = query.as_object_mut().expect("a query");
        for shown in ["ProjectionExpression", "FilterExpression", "Select"] {
            members.remove(shown);
        }
        // A name or a value that is used no more would be refused.
        let condition = query["KeyConditionExpression"].to_string();
        for placeholders in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            if let Some(placeholders) = query.get_mut(placeholders).and_then(Value::as_object_mut) {
                placeholders.retain(|name, _| condition.contains(name.as_str()));
            }
        }
        let answer = self.ask("Query", &query).await;
        answer["Items"].as_array().expect("items").iter().map(item_bytes).sum()
    }

    /// Makes a call of the counting's own, which AWS would not bill.
    async fn ask(&self, operation: &str, body: &Value) -> Value {
        let mut request = self.like.try_clone().expect("the SDK's bodies are in memory");
        request.headers_mut().insert("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        *request.body_mut() = SdkBody::from(body.to_string());
        let response = self.aws.call(request).await;
        let answer = response.body().bytes().unwrap_or_default();
        assert!(response.status().is_success(), "{operation}: {}", String::from_utf8_lossy(answer));
        serde_json::from_slice(answer).expect("JSON")
    }
}

/// Returns the units of so many bytes: at least one.
fn units(bytes: usize, unit_bytes: usize) -> f64 {
    bytes.div_ceil(unit_bytes).max(1) as f64
}

/// Returns the bytes that an item on the wire is billed with: its names and its values.
fn item_bytes(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let (kind, value) = value.as_object().and_then(|typed| typed.iter().next()).expect("a typed value");
    let text = || value.as_str().expect("text");
    let texts = || value.as_array().expect("a list").iter().map(|text| text.as_str().expect("text"));
    match kind.as_str() {
        "S" => text().len(),
        "N" => number_bytes(text()),
        "B" => text().trim_end_matches('=').len() * 3 / 4,
        "SS" => texts().map(str::len).sum(),
        "NS" => texts().map(number_bytes).sum(),
        "BOOL" | "NULL" => 1,
        "L" => 3 + value.as_array().expect("a list").iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        "M" => 3 + value.as_object().expect("a map").len() + item_bytes(value),
        other => panic!("the size of {other} is not known"),
    }
}

/// Returns the bytes of an integer: one for every two significant digits, and one more.
fn number_bytes(number: &str) -> usize {
    assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{number} is not a natural number");
    number.trim_matches('0').len().div_ceil(2) + 1
}
