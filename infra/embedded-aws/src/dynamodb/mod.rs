//! `DynamoDB`.
//!
//! The engine `dynoxide` can answer every operation. It parses each request generically and compiles its SQL anew each time, so the
//! forms of requests that Hookline makes all the time have a shorter way: the fast path. It reads and writes the same rows of the
//! same tables, and answers only what it knows completely. For any other request, and for every error but a failed condition, it
//! says [`NotMine`] before it has written anything, and the engine answers that request.
//!
//! | file | holds |
//! |---|---|
//! | `dynoxide.rs` | the engine's answer to every operation |
//! | `sweep.rs` | the deletion of expired items |
//! | `reads.rs` | the fast path of `GetItem`, `BatchGetItem` and `Query` |
//! | `writes.rs` | the fast path of `PutItem`, `UpdateItem` and `DeleteItem` |
//! | `requests.rs` | the requests that the fast path knows |
//! | `expressions.rs` | the expressions that it knows, and their values for a request |
//! | `tokens.rs` | the words of an expression |
//! | `items.rs` | items as JSON: their attributes, their size, and what makes one valid |
//! | `tables.rs` | tables: their keys and their rows |
//! | `answers.rs` | the JSON of answers |

mod answers;
mod dynoxide;
mod expressions;
mod items;
mod reads;
mod requests;
mod sweep;
mod tables;
mod tokens;
mod writes;

pub(super) use dynoxide::EngineClock;
pub(super) use sweep::Sweep;

use super::{
    engine::State,
    wire::{Fault, Reply},
};
use ::dynoxide::storage::Storage;
use expressions::Expressions;
use tables::Tables;

/// What the fast path remembers between requests.
#[derive(Debug, Default)]
pub(super) struct FastPath {
    tables: Tables,
    expressions: Expressions,
    /// Whether the engine answers every request.
    #[cfg(test)]
    pub(super) is_off: bool,
    /// How many requests the fast path has answered.
    #[cfg(test)]
    pub(super) answered: usize,
    /// How many requests about items it has left to the engine.
    #[cfg(test)]
    pub(super) left: usize,
}

/// The fast path does not know this request, or it would be refused. Nothing was written.
#[derive(Debug)]
struct NotMine;

/// What the fast path cannot read or write, it leaves to the engine, which reports the error.
impl<E: std::error::Error> From<E> for NotMine {
    fn from(_: E) -> Self {
        Self
    }
}

/// A result of the fast path.
type Mine<T> = Result<T, NotMine>;

/// Returns `NotMine` unless `holds`.
fn require(holds: bool) -> Mine<()> {
    if holds { Ok(()) } else { Err(NotMine) }
}

/// Answers one operation. If it fails, it has changed nothing.
pub(super) fn call(state: &mut State, operation: &str, body: &[u8]) -> Result<Reply, Fault> {
    let (storage, fast_path) = state.dynamodb();
    match fast_path.answer(storage, operation, body) {
        Ok(reply) => Ok(reply),
        Err(NotMine) => {
            let answer = state.in_savepoint(|state| dynoxide::call(state.dynamodb().0, operation, body));
            let fast_path = state.dynamodb().1;
            if !is_about_items(operation) {
                fast_path.forget_tables();
            }
            #[cfg(test)]
            {
                fast_path.left += usize::from(is_about_items(operation));
            }
            answer
        }
    }
}

/// Whether an operation reads or writes items only, and leaves the tables as they are.
fn is_about_items(operation: &str) -> bool {
    operation.ends_with("Item") || matches!(operation, "Query" | "Scan")
}

impl FastPath {
    /// Forgets the tables, which may have changed in the file.
    pub(super) fn forget_tables(&mut self) {
        self.tables.forget();
    }

    /// Answers a request with at most one statement that writes, so that there is nothing to undo.
    fn answer(&mut self, storage: &Storage, operation: &str, body: &[u8]) -> Mine<Reply> {
        #[cfg(test)]
        require(!self.is_off)?;
        let body = std::str::from_utf8(body)?;
        let reply = match operation {
            "GetItem" => self.get(storage, &serde_json::from_str(body)?),
            "BatchGetItem" => self.batch_get(storage, &serde_json::from_str(body)?),
            "Query" => self.query(storage, &serde_json::from_str(body)?),
            "PutItem" => self.put(storage, &serde_json::from_str(body)?),
            "UpdateItem" => self.update(storage, &serde_json::from_str(body)?),
            "DeleteItem" => self.delete(storage, &serde_json::from_str(body)?),
            _ => Err(NotMine),
        }?;
        #[cfg(test)]
        {
            self.answered += 1;
        }
        Ok(reply)
    }
}
