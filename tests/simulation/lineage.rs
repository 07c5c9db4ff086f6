//! Where messages come from: Lambda counts how often a function was invoked by what it had itself put on a queue, and stops a
//! chain of sixteen, unless the template says that the function does so on purpose.
//!
//! What an invocation sends may come from any message of its batch: it inherits the longest chains among them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lambda_events::sqs::SqsMessage;
use serde_json::Value;

use crate::deployed::STACK;
use crate::processes::Function;
use crate::world::World;

/// Invocations of each function that an event comes from. Whatever does not come by a queue begins anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage(BTreeMap<&'static str, u32>);

impl Lineage {
    fn of(&self, function: Function) -> u32 {
        self.0.get(function.name()).copied().unwrap_or_default()
    }

    fn join(&mut self, other: &Self) {
        for (function, count) in &other.0 {
            let longest = self.0.entry(function).or_default();
            *longest = (*longest).max(*count);
        }
    }
}

/// The lineage of every message that a function sent.
#[derive(Debug, Default)]
pub(crate) struct Lineages(Mutex<BTreeMap<String, Lineage>>);

impl World {
    /// The lineage of an invocation of `function` with `messages`, itself included.
    pub(crate) fn lineage_of(&self, function: Function, messages: &[SqsMessage]) -> Lineage {
        let mut lineage = Lineage::default();
        {
            let lineages = self.lineages.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ids = messages.iter().filter_map(|message| message.message_id.as_ref());
            ids.filter_map(|id| lineages.get(id)).for_each(|sent| lineage.join(sent));
        }
        let chain = lineage.of(function) + 1;
        let name = function.name();
        let most = self.plan.chain_max;
        if chain > most && !STACK.function(name).allows_recursion {
            self.breach(format!("{name} was invoked {most} times by what it had sent itself, and Lambda stopped it"));
        }
        lineage.0.insert(name, chain);
        let longest = &mut self.record().longest_chains;
        let longest = longest.entry(name).or_default();
        *longest = (*longest).max(chain);
        lineage
    }

    /// Notes what a call sent, by SQS's answer to it.
    pub(crate) fn note_sent(&self, lineage: &Lineage, answer: &Value) {
        let sent = answer["Successful"].as_array().into_iter().flatten().chain([answer]);
        let mut lineages = self.lineages.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in sent.filter_map(|message| message["MessageId"].as_str()) {
            lineages.insert(id.to_owned(), lineage.clone());
        }
    }
}
