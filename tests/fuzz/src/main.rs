//! The coverage-guided fuzzer. It runs the target that `FUZZ_TARGET` names. `tests/checks/fuzz`
//! builds and starts it.

#![no_main]

use fuzz::{TARGETS, Target};
use std::sync::LazyLock;

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.unwrap_or_else(|| panic!("there is no target {name}")).1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (*CHOSEN)(bytes));
