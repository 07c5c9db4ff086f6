//! The deployed stack, as `template.yaml` describes it. If a mutant of the template is on, its
//! mistake is in it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use strict_aws::grants::Grant;
use strict_aws::stack::Stack;
use strict_aws::template::template;

use crate::mutants;
use crate::processes::Function;

/// The functions of the template: their grants and settings.
pub(crate) static STACK: LazyLock<Stack> = LazyLock::new(|| Stack::read(&mutants::mutated(template())));

/// Returns the grants that were never used, as `function action resource`. Grants for logs are left
/// out, because Lambda itself writes the logs and the simulation does not see it.
pub(crate) fn unused_grants(used: &BTreeSet<(&'static str, Grant)>) -> Vec<String> {
    let functions = [Function::Api, Function::Publish, Function::Deliver, Function::Retry].map(Function::name);
    let granted = functions.into_iter().flat_map(|function| {
        let grants = STACK.function(function).grants.iter();
        grants.filter(|grant| !grant.action.starts_with("logs:")).map(move |grant| (function, grant.clone()))
    });
    let unused = granted.filter(|grant| !used.contains(grant));
    unused.map(|(function, grant)| format!("{function} {} {}", grant.action, grant.resource)).collect()
}
