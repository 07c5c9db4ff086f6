//! Lambda's detection of recursive loops. A function that puts a message on its own queue invokes
//! itself. Lambda counts these invocations and stops a chain of sixteen, unless the template allows
//! the function to do so (`RecursiveLoop`).
//!
//! A message that an invocation sends may come from any message of its batch, so it inherits the
//! longest chains among them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lambda_events::sqs::SqsMessage;
use serde_json::Value;

use crate::processes::Function;
use crate::stack::STACK;
use crate::world::World;

/// How many invocations of each function led to an event. An event that does not come from a queue
/// starts at 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage(BTreeMap<&'static str, u32>);

impl Lineage {
    fn of(&self, function: Function) -> u32 {
        self.0.get(function.name()).copied().unwrap_or_default()
    }

    /// Takes over the chains of `other` that are longer.
    fn join(&mut self, other: &Self) {
        for (function, count) in &other.0 {
            let longest = self.0.entry(function).or_default();
            *longest = (*longest).max(*count);
        }
    }
}

/// The lineage of each message that a function has sent, by its message id.
#[derive(Debug, Default)]
pub(crate) struct Lineages(Mutex<BTreeMap<String, Lineage>>);

impl World {
    /// Returns the lineage of an invocation of `function` with `messages`, this invocation
    /// included. Records a violation if Lambda would stop the chain.
    pub(crate) fn lineage_of(&self, function: Function, messages: &[SqsMessage]) -> Lineage {
        let mut lineage = Lineage::default();
        {
            let lineages = self.lineages.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ids = messages.iter().filter_map(|message| message.message_id.as_ref());
            ids.filter_map(|id| lineages.get(id)).for_each(|sent| lineage.join(sent));
        }
        let chain = lineage.of(function) + 1;
        let name = function.name();
        let chain_max = self.plan.chain_max;
        if chain > chain_max && !STACK.function(name).allows_recursion {
            self.record_violation(format!(
                "{name} invoked itself {chain_max} times in one chain, and Lambda stopped it"
            ));
        }
        lineage.0.insert(name, chain);
        let longest = &mut self.record().longest_chains;
        let longest = longest.entry(name).or_default();
        *longest = (*longest).max(chain);
        lineage
    }

    /// Records the lineage of the messages that a call has sent, which SQS's answer names.
    pub(crate) fn record_sent(&self, lineage: &Lineage, answer: &Value) {
        let sent = answer["Successful"].as_array().into_iter().flatten().chain([answer]);
        let mut lineages = self.lineages.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in sent.filter_map(|message| message["MessageId"].as_str()) {
            lineages.insert(id.to_owned(), lineage.clone());
        }
    }
}
