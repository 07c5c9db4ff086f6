//! Fuzz targets for every parser of bytes from outside. A target gets any bytes, must not panic,
//! and asserts what the parser promises about the input that it accepts.
//!
//! | file | holds |
//! |---|---|
//! | `texts.rs` | parsers of one text: ids, names, times, URLs, schedules |
//! | `handlers.rs` | the real handlers on the embedded AWS, with whole requests and messages |
//! | `main.rs` | the coverage-guided fuzzer (`tests/checks/fuzz`) |
//! | `../corpus/<target>/` | the inputs that fuzzing starts from; `cargo test` tries them all |

mod handlers;
mod texts;

/// A function that is given the bytes to try.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also the name of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("api_request", handlers::api_request),
    ("deliveries_message", handlers::deliveries_message),
    ("events_message", handlers::events_message),
    ("sqs_event", handlers::sqs_event),
    ("schedule_input", handlers::schedule_input),
    ("input_json", texts::input_json),
    ("received_request", texts::received_request),
    ("filter", texts::filter),
    ("schema", texts::schema),
    ("id", texts::id),
    ("poll_cursor", texts::poll_cursor),
    ("event_type", texts::event_type),
    ("retry_schedule", texts::retry_schedule),
    ("retry_after", texts::retry_after),
    ("endpoint_url", texts::endpoint_url),
    ("time", texts::time),
    ("secret", texts::secret),
];

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use proptest::{prelude::*, test_runner::TestRunner};
    use std::path::Path;

    /// Returns the inputs in the corpus of a target.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file")).collect()
    }

    #[test]
    fn targets_accept_every_input_of_their_corpus() {
        for (name, target) in TARGETS {
            let inputs = corpus(name);
            assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
            for input in &inputs {
                target(input);
            }
        }
        let folders = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).expect("the corpora");
        assert_eq!(folders.count(), TARGETS.len(), "each folder should belong to a target");
    }

    /// Tries inputs of the corpus with some bytes replaced, cut out or repeated.
    #[test]
    fn targets_accept_variations_of_their_corpus() {
        for (name, target) in TARGETS {
            let inputs = corpus(name);
            let some = (0..inputs.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<Vec<u8>>());
            let mut runner = TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..<_>::default() });
            let tried = runner.run(&some, |(which, from, to, bytes)| {
                let input = &inputs[which];
                let (from, to) = (from.index(input.len() + 1), to.index(input.len() + 1));
                target(&[&input[..from.min(to)], &bytes[..bytes.len().min(16)], &input[from.max(to)..]].concat());
                target(&[&input[..from.max(to)], &input[from.min(to)..]].concat());
                Ok(())
            });
            tried.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
