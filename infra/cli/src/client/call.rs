//! One request to the API.

use super::{operation::Operation, page::Wanted};
use serde::Serialize;

/// A request that can be sent, and sent again.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

impl Call {
    /// A call of a route without ids.
    pub(super) fn new(operation: Operation) -> Self {
        let path = operation.path.to_owned();
        Self { operation, path, query: vec![], body: None, idempotency_key: None }
    }

    /// Puts an id in the place of the first name in braces. The ids are parsed, so they need no encoding.
    pub(super) fn id(mut self, id: impl ToString) -> Self {
        if let Some((before, rest)) = self.path.split_once('{') {
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            self.path = format!("{before}{}{after}", id.to_string());
        }
        self
    }

    /// Adds a query parameter, if it has a value.
    pub(super) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Asks for one page.
    pub(super) fn page(self, wanted: &Wanted) -> Self {
        self.query("limit", wanted.limit).query("cursor", wanted.cursor.as_deref())
    }

    /// Gives it a JSON body.
    pub(super) fn body(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_string(body).expect("a body of names and JSON values is JSON"));
        self
    }

    /// Gives it an idempotency key, so that it may be sent again.
    pub(super) fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }

    /// Whether sending it twice does the same as sending it once.
    pub(super) fn is_repeatable(&self) -> bool {
        self.operation.method.is_safe() || self.idempotency_key.is_some()
    }
}
