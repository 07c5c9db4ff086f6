//! Random requests to `DynamoDB`: in the forms that the store makes, and with one thing wrong or unusual.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// The tables, with what their creation says besides their keys.
pub(super) const TABLES: [(&str, &str); 3] = [
    ("Things", ""),
    ("Others", ""),
    (
        "Indexed",
        r#","GlobalSecondaryIndexes":[{"IndexName":"by-id","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
        "Projection":{"ProjectionType":"ALL"}}]"#,
    ),
];

const OWNERS: &[&str] = &["acme", "acme#1", "größe \"x\""];
const IDS: &[&str] = &[
    "wh_1",
    "wh_2",
    "wh_3",
    "wh_",
    "wh",
    "evt_1",
    "evt_2",
    "evt_3\u{0}",
    "evt_~",
    "deleted#wh_1",
    "größe",
    "a\"b\\c",
    "x\u{d7ff}",
    "x\u{d7ff}y",
    "x\u{10ffff}",
    "\n",
];
const PREFIXES: &[&str] = &["wh_", "evt_", "deleted#", "x\u{d7ff}", "x\u{10ffff}", "gr", "\""];
/// Names of attributes. Some are reserved words, and one needs escapes.
const NAMES: &[&str] = &[
    "version",
    "expires_at",
    "count",
    "full_at",
    "end_us",
    "sent_us",
    "late_us",
    "done",
    "schema",
    "status",
    "größe \"\\",
];
const NUMBERS: &[&str] = &["0", "1", "2", "3", "10", "1739874600", "1739874600000000", "-1", "9007199254740993"];
const ODD_NUMBERS: &[&str] = &[
    "1.0",
    "01",
    "+1",
    "1e2",
    "-0",
    "0.5",
    "",
    "x",
    " 1",
    "1e200",
    "12345678901234567890123456789012345678",
    "99999999999999999999999999999999999999",
    "123456789012345678901234567890123456789",
    "1E-5",
    "00",
];

/// The expressions of the store, each with the parameters that it belongs to.
const CONDITIONS: &[&str] = &[
    "attribute_not_exists(#id)",
    "#version = :before",
    "attribute_not_exists(#id) OR #expires_at <= :now",
    "attribute_not_exists(#id) OR #done = :no",
];
const UPDATES: &[(&str, &str)] = &[
    ("#end_us > :now AND #end_us <= :last", "SET #end_us = #end_us + :length, #expires_at = :expires_at"),
    ("attribute_not_exists(#end_us) OR #end_us <= :now", "SET #end_us = :now + :length, #expires_at = :expires_at"),
    ("#count < :max", "SET #count = #count + :one"),
    ("attribute_not_exists(#count)", "SET #count = :count, #full_at = :full_at"),
    ("#count = :before", "SET #count = :count, #full_at = :full_at"),
    (
        "(attribute_not_exists(#end_us) OR #end_us <= :end_us_last) AND (attribute_not_exists(#sent_us) OR #sent_us <= :sent_us_last)",
        "SET #expires_at = :expires_at, #sent_us = :sent_us",
    ),
    (
        "#end_us > :end_us_after AND #end_us <= :end_us_last AND (attribute_not_exists(#late_us) OR #late_us <= :late_us_last)",
        "SET #expires_at = :expires_at, #end_us = #end_us + :interval",
    ),
    ("", "SET #count = #count - :one, #full_at = #count"),
];
/// Expressions that the store does not make.
const ODD_EXPRESSIONS: &[&str] = &[
    "attribute_exists(#id)",
    "#version <> :before",
    "#version <> :before AND #done <> :no",
    "#done <= :no",
    "((#version = :before))",
    "(#version = :before)",
    "NOT #version = :before",
    ":before = #version",
    "version = :before",
    "#version = :before or #version < :now",
    "size(#schema) > :before",
    "#version BETWEEN :before AND :now",
    "contains(#schema, :before)",
    "#schema.#id = :before",
    "#version =",
    "",
    "#version = :before AND #version = :before OR #done = :no AND attribute_exists(#status)",
    "SET #version = :before REMOVE #done",
    "SET #id = :before",
    "SET #version = :before, #version = :now",
    "ADD #version :before",
    "SET #version = if_not_exists(#version, :before)",
    "SET #version = #status + :before",
];

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    /// The operation.
    pub(super) operation: &'static str,
    /// The JSON.
    pub(super) body: String,
    /// The form of the store that the request has, or `None` if something in it is unusual.
    pub(super) form: Option<&'static str>,
}

/// Makes requests from a seed.
pub(super) struct Requests(Rng);

impl Requests {
    /// Creates the requests of a seed.
    pub(super) fn of(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Makes a request.
    pub(super) fn next(&mut self) -> Request {
        let (operation, form, mut body) = match self.0.u32(0..100) {
            0..35 => self.put(),
            35..55 => self.update(),
            55..60 => ("DeleteItem", "DeleteItem", self.keyed()),
            60..68 => self.get(),
            68..78 => self.batch_get(),
            _ => self.query(),
        };
        let is_odd = self.one_in(5);
        if is_odd {
            self.spoil(&mut body);
        }
        let body = Value::Object(body);
        let mut body = if self.one_in(20) { format!(" {body:#}\n") } else { body.to_string() };
        if is_odd && self.one_in(20) {
            body = body.replacen('{', r#"{"TableName":"Things","#, 1);
        }
        let is_indexed = body.contains(r#""Indexed""#);
        Request { operation, body, form: Some(form).filter(|_| !is_odd && !is_indexed) }
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.0.u32(0..count) == 0
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())]
    }

    fn table(&mut self) -> &'static str {
        if self.one_in(50) { "Indexed" } else { self.one_of(&["Things", "Things", "Things", "Others"]) }
    }

    fn key(&mut self) -> Map<String, Value> {
        let (owner, id) = (self.one_of(OWNERS), self.one_of(IDS));
        object(json!({"owner": {"S": owner}, "id": {"S": id}}))
    }

    /// Begins a request about one item.
    fn keyed(&mut self) -> Map<String, Value> {
        let mut body = object(json!({"TableName": self.table(), "Key": self.key()}));
        self.add_options(&mut body, &["ALL_OLD", "NONE"]);
        body
    }

    fn add_options(&mut self, body: &mut Map<String, Value>, returned: &[&str]) {
        if self.one_in(2) {
            body.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
        }
        if !returned.is_empty() && self.one_in(2) {
            body.insert("ReturnValues".to_owned(), json!(self.one_of(returned)));
        }
    }

    fn number(&mut self) -> Value {
        json!({"N": self.one_of(NUMBERS)})
    }

    /// Returns a value that items of the store may have.
    fn value(&mut self, depth: u32) -> Value {
        match self.0.u32(0..if depth < 3 { 10 } else { 7 }) {
            0..3 => self.number(),
            3 => json!({"S": self.one_of(&["", "text", "größe", "{\"a\":\"b\\n\"}", "\u{1f600}\u{1}"])}),
            4 => json!({"BOOL": self.0.bool()}),
            5 => json!({"NULL": true}),
            6 => json!({"B": self.one_of(&["", "AA==", "AAE=", "AAEC", "eyJhIjoxfQ=="])}),
            7 => json!({"L": (0..self.0.u32(0..3)).map(|_| self.value(depth + 1)).collect::<Vec<_>>()}),
            _ => {
                let members = (0..self.0.u32(0..3)).map(|_| (self.one_of(NAMES).to_owned(), self.value(depth + 1)));
                json!({"M": members.collect::<Map<_, _>>()})
            }
        }
    }

    /// Returns a value that no item of the store has.
    fn odd_value(&mut self) -> Value {
        match self.0.u32(0..12) {
            0..4 => json!({"N": self.one_of(ODD_NUMBERS)}),
            4 => json!({"SS": ["b", "a"]}),
            5 => json!({"SS": []}),
            6 => json!({"NS": ["1", "1.0"]}),
            7 => json!({"S": "x", "N": "1"}),
            8 => json!({"BOOL": "true"}),
            9 => json!({"B": self.one_of(&["A", "AB==", "A A="])}),
            10 => (0..self.0.u32(20..40)).fold(json!({"S": "x"}), |inner, _| json!({"L": [inner]})),
            _ => self.one_of(&[json!({}), Value::Null, json!({"NULL": false}), json!("x")].each_ref()).clone(),
        }
    }

    fn item(&mut self) -> Map<String, Value> {
        let mut item = self.key();
        for _ in 0..self.0.u32(0..6) {
            let name = self.one_of(NAMES);
            let value = if self.one_in(2) { self.number() } else { self.value(0) };
            item.insert(name.to_owned(), value);
        }
        let bytes = match self.0.u32(0..60) {
            0 => 409_000,
            1 => 300_000,
            2..10 => self.0.usize(0..9000),
            _ => 0,
        };
        if bytes > 0 {
            item.insert("note".to_owned(), json!({"S": "é".repeat(bytes / 2)}));
        }
        if self.one_in(60) {
            item.insert(self.one_of(NAMES).to_owned(), self.odd_value());
        }
        item
    }

    fn put(&mut self) -> (&'static str, &'static str, Map<String, Value>) {
        let mut body = object(json!({"TableName": self.table(), "Item": self.item()}));
        self.add_options(&mut body, &["ALL_OLD", "NONE"]);
        if self.one_in(4) {
            return ("PutItem", "PutItem", body);
        }
        let condition = self.one_of(CONDITIONS);
        self.add_expressions(&mut body, &[("ConditionExpression", condition)]);
        self.add_return_on_failure(&mut body);
        ("PutItem", condition, body)
    }

    fn update(&mut self) -> (&'static str, &'static str, Map<String, Value>) {
        let mut body = object(json!({"TableName": self.table(), "Key": self.key()}));
        self.add_options(&mut body, &["UPDATED_NEW", "NONE"]);
        let (condition, update) = self.one_of(UPDATES);
        self.add_expressions(&mut body, &[("UpdateExpression", update), ("ConditionExpression", condition)]);
        self.add_return_on_failure(&mut body);
        // An update without a condition needs the attributes that it reads, which most items do not have.
        ("UpdateItem", if condition.is_empty() { "UpdateItem" } else { update }, body)
    }

    fn add_return_on_failure(&mut self, body: &mut Map<String, Value>) {
        if self.one_in(2) {
            body.insert("ReturnValuesOnConditionCheckFailure".to_owned(), json!("ALL_OLD"));
        }
    }

    /// Adds expressions with what their placeholders stand for.
    fn add_expressions(&mut self, body: &mut Map<String, Value>, expressions: &[(&str, &str)]) {
        let (mut names, mut values) = (Map::new(), Map::new());
        for (parameter, expression) in expressions.iter().filter(|(_, expression)| !expression.is_empty()) {
            body.insert((*parameter).to_owned(), json!(expression));
            for (at, _) in expression.match_indices(['#', ':']) {
                let word = expression[at + 1..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
                let word = word.unwrap_or_default();
                if expression[at..].starts_with('#') {
                    names.insert(format!("#{word}"), json!(word));
                } else {
                    let value = self.value_of(word);
                    values.entry(format!(":{word}")).or_insert(value);
                }
            }
        }
        for (parameter, members) in [("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)] {
            if !members.is_empty() {
                body.insert(parameter.to_owned(), Value::Object(members));
            }
        }
    }

    /// Returns the value of a placeholder.
    fn value_of(&mut self, placeholder: &str) -> Value {
        match placeholder {
            "no" => json!({"BOOL": false}),
            "owner" => json!({"S": self.one_of(OWNERS)}),
            "prefix" => json!({"S": self.one_of(PREFIXES)}),
            "from" => json!({"S": self.one_of(&["wh_", "evt_", "a", "\u{0}"])}),
            "to" => json!({"S": self.one_of(&["wh_2", "x\u{d7ff}y", "evt_~", "y"])}),
            _ => self.number(),
        }
    }

    fn get(&mut self) -> (&'static str, &'static str, Map<String, Value>) {
        let mut body = object(json!({"TableName": self.table(), "Key": self.key()}));
        self.add_options(&mut body, &[]);
        self.add_reading(&mut body);
        if self.one_in(2) {
            return ("GetItem", "GetItem", body);
        }
        self.add_expressions(&mut body, &[("ProjectionExpression", "#id, #schema, #version, #note")]);
        ("GetItem", "GetItem with a projection", body)
    }

    fn add_reading(&mut self, body: &mut Map<String, Value>) {
        if self.one_in(2) {
            body.insert("ConsistentRead".to_owned(), json!(self.0.bool()));
        }
    }

    fn batch_get(&mut self) -> (&'static str, &'static str, Map<String, Value>) {
        let mut tables = Map::new();
        for _ in 0..self.0.u32(1..3) {
            let mut keys: Vec<_> = (0..self.0.u32(1..12)).map(|_| self.key()).collect();
            if !self.one_in(20) {
                keys.sort_by_key(|key| json!(key).to_string());
                keys.dedup();
            }
            let mut wanted = object(json!({"Keys": keys}));
            self.add_reading(&mut wanted);
            tables.insert(self.table().to_owned(), Value::Object(wanted));
        }
        let mut body = object(json!({"RequestItems": tables}));
        self.add_options(&mut body, &[]);
        ("BatchGetItem", "BatchGetItem", body)
    }

    fn query(&mut self) -> (&'static str, &'static str, Map<String, Value>) {
        let mut body = object(json!({"TableName": self.table()}));
        let condition = self.one_of(&[
            "#owner = :owner",
            "#owner = :owner AND begins_with(#id, :prefix)",
            "#owner = :owner AND #id BETWEEN :from AND :to",
        ]);
        let filter = if self.one_in(2) { "attribute_not_exists(#expires_at) OR #expires_at > :now" } else { "" };
        let is_counted = self.one_in(6);
        let projection = if !is_counted && self.one_in(2) { "#id, #version, #schema" } else { "" };
        self.add_expressions(
            &mut body,
            &[
                ("KeyConditionExpression", condition),
                ("FilterExpression", filter),
                ("ProjectionExpression", projection),
            ],
        );
        if is_counted {
            body.insert("Select".to_owned(), json!("COUNT"));
        }
        if self.one_in(2) {
            body.insert("Limit".to_owned(), json!(self.0.u32(1..8)));
        }
        if self.one_in(2) {
            body.insert("ScanIndexForward".to_owned(), json!(self.0.bool()));
        }
        self.add_options(&mut body, &[]);
        self.add_reading(&mut body);
        if self.one_in(4) {
            let owner = body["ExpressionAttributeValues"][":owner"].clone();
            body.insert("ExclusiveStartKey".to_owned(), json!({"owner": owner, "id": {"S": self.one_of(IDS)}}));
            // A key outside the condition is refused.
            return ("Query", "Query after a key", body);
        }
        ("Query", condition, body)
    }

    /// Makes one thing wrong or unusual.
    fn spoil(&mut self, body: &mut Map<String, Value>) {
        let parameters: Vec<String> = body.keys().cloned().collect();
        let parameter = parameters[self.0.usize(0..parameters.len())].clone();
        match self.0.u32(0..10) {
            0 => drop(body.remove(&parameter)),
            1 => drop(body.insert(parameter, Value::Null)),
            2 => {
                let (name, value) = self.one_of(&[
                    ("ReturnItemCollectionMetrics", "SIZE"),
                    ("Expected", "x"),
                    ("ConditionalOperator", "AND"),
                    ("Unknown", "x"),
                    ("ReturnConsumedCapacity", "INDEXES"),
                    ("ReturnConsumedCapacity", "ALL"),
                    ("ReturnValues", "ALL_NEW"),
                    ("ReturnValues", "ALL_OLD"),
                    ("ReturnValues", "UPDATED_NEW"),
                    ("ReturnValuesOnConditionCheckFailure", "NONE"),
                    ("TableName", "Missing"),
                    ("TableName", ""),
                    ("Select", "ALL_ATTRIBUTES"),
                ]);
                body.insert(name.to_owned(), json!(value));
            }
            3 => {
                let limit = self.one_of(&[-1, 0, 1, i64::MAX]);
                body.insert("Limit".to_owned(), json!(limit));
            }
            4..6 => {
                let expressions = ["ConditionExpression", "UpdateExpression", "FilterExpression"];
                let parameter = self.one_of(&expressions);
                let expression = self.one_of(ODD_EXPRESSIONS);
                self.add_expressions(body, &[(parameter, expression)]);
            }
            _ => self.spoil_member(body),
        }
    }

    /// Changes one member of an object in the request.
    fn spoil_member(&mut self, body: &mut Map<String, Value>) {
        let objects = ["Key", "Item", "ExpressionAttributeNames", "ExpressionAttributeValues", "ExclusiveStartKey"];
        let mut objects: Vec<&str> = objects.into_iter().filter(|object| body.contains_key(*object)).collect();
        self.0.shuffle(&mut objects);
        let Some(Value::Object(members)) = objects.first().and_then(|object| body.get_mut(*object)) else { return };
        let names: Vec<String> = members.keys().cloned().collect();
        let name = names.get(self.0.usize(0..names.len().max(1))).cloned().unwrap_or_default();
        let value = if self.one_in(2) { self.value(0) } else { self.odd_value() };
        match self.0.u32(0..6) {
            0 => drop(members.remove(&name)),
            1 => drop(members.insert(self.one_of(&["", "x", "#x", ":x"]).to_owned(), value)),
            2 => drop(members.insert(name, json!({"S": "x".repeat(self.0.usize(0..2200))}))),
            3 => drop(members.insert(name, json!(self.one_of(NAMES)))),
            _ => drop(members.insert(name, value)),
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}
