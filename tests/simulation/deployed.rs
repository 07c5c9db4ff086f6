//! The deployment that a run is held to: `template.yaml`, with the mistake of a mutant in it where one is on.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use strict_aws::grants::Grant;
use strict_aws::stack::Stack;
use strict_aws::template::template;

use crate::mutants;
use crate::processes::Function;

/// What the template deploys.
pub(crate) static STACK: LazyLock<Stack> = LazyLock::new(|| Stack::read(&mutants::mutated(template())));

/// What is granted and was never used, as `function action resource`. What Lambda itself does for a function is not seen
/// here.
pub(crate) fn unused(used: &BTreeSet<(&'static str, Grant)>) -> Vec<String> {
    let functions = [Function::Api, Function::Publish, Function::Deliver, Function::Retry].map(Function::name);
    let granted = functions.into_iter().flat_map(|function| {
        let grants = STACK.function(function).grants.iter();
        grants.filter(|grant| !grant.action.starts_with("logs:")).map(move |grant| (function, grant.clone()))
    });
    let unused = granted.filter(|grant| !used.contains(grant));
    unused.map(|(function, grant)| format!("{function} {} {}", grant.action, grant.resource)).collect()
}
