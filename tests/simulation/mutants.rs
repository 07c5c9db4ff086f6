//! Mutants: mistakes that would be easy to make, each made in a copy of the source. The simulation must catch every one.
//!
//! All of them are built into one copy, each behind a switch that the environment sets, so that the copy is built once and
//! the product's own source has no switches. Those of `template.yaml` are made in what the simulation has read of it.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::{Value, json};

/// What tells a mutant in the copy whether it is the one that is on.
const SWITCH: &str = "
/// Whether this mutant is the one that is on.
pub fn mutant(name: &str) -> bool {
    static ON: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var(\"MUTANT\").ok());
    ON.as_deref() == Some(name)
}
";

/// A mistake.
struct Mutant {
    name: &'static str,
    file: &'static str,
    /// What stands in the source, exactly once.
    old: &'static str,
    /// What stands there in the copy: `MUTANT` is true where this mutant is on.
    new: &'static str,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a claim has no condition",
        file: "shared/src/store/mod.rs",
        old: "    match call.send().await {\n        Ok(_) => Ok(Written::Yes),",
        new: "    let call = if MUTANT && table == app.config.deliveries_table {
            app.dynamodb.put_item().table_name(table).set_item(Some(item.clone()))
        } else { call };
        match call.send().await {\n        Ok(_) => Ok(Written::Yes),",
    },
    Mutant {
        name: "a message is done whether or not its successor is placed",
        file: "functions/deliver/src/lib.rs",
        old: "queue::place(&deliverer.app, &next, due).await?,",
        new: "if MUTANT { let _ = queue::place(&deliverer.app, &next, due).await; } else {
            queue::place(&deliverer.app, &next, due).await?;
        },",
    },
    Mutant {
        name: "a lease holds nobody off",
        file: "shared/src/delivery.rs",
        old: "Some(claim) if now < claim.until =>",
        new: "Some(claim) if !MUTANT && now < claim.until =>",
    },
    Mutant {
        name: "an idempotency key never expires",
        file: "shared/src/store/idempotency.rs",
        old: "call.condition_expression(\"attribute_not_exists(#id) OR #expires_at <= :now\")",
        new: "call.condition_expression(if MUTANT {
            \"attribute_not_exists(#id) OR (attribute_not_exists(#id) AND #expires_at <= :now)\"
        } else { \"attribute_not_exists(#id) OR #expires_at <= :now\" })",
    },
    Mutant {
        name: "a replay is judged by the catalogue as it is",
        file: "functions/api/src/events.rs",
        old: "publication.unknown_types().filter(|first| **first != unknown)",
        new: "publication.unknown_types().filter(|first| !MUTANT && **first != unknown)",
    },
    Mutant {
        name: "an event is sent after it expired",
        file: "shared/src/store/events.rs",
        old: "id.made_at().plus(app.config.retention) <= app.clock.now()",
        new: "!MUTANT && id.made_at().plus(app.config.retention) <= app.clock.now()",
    },
    Mutant {
        name: "a rotated secret signs for good",
        file: "shared/src/webhook.rs",
        old: "filter(move |previous| now < previous.until)",
        new: "filter(move |previous| MUTANT || now < previous.until)",
    },
    Mutant {
        name: "a rotation has no overlap",
        file: "shared/src/webhook.rs",
        old: "std::iter::once(&self.secret).chain(previous.map(",
        new: "std::iter::once(&self.secret).chain(previous.filter(|_| !MUTANT).map(",
    },
    Mutant {
        name: "an earlier disabling is forgotten",
        file: "shared/src/delivery.rs",
        old: "!webhook.is_enabled() || webhook.generation != self.generation",
        new: "!webhook.is_enabled() || (!MUTANT && webhook.generation != self.generation)",
    },
    Mutant {
        name: "a disabled webhook is sent to",
        file: "shared/src/delivery.rs",
        old: "Turn::Scheduled { .. } => !webhook.is_enabled() ||",
        new: "Turn::Scheduled { .. } => (!MUTANT && !webhook.is_enabled()) ||",
    },
    Mutant {
        name: "jitter subtracts",
        file: "shared/src/schedule.rs",
        old: "let wait = wait + wait.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);",
        new: "let share = wait.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);
        let wait = if MUTANT { wait - share } else { wait + share };",
    },
    Mutant {
        name: "Retry-After replaces the schedule",
        file: "shared/src/schedule.rs",
        old: "wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))",
        new: "if MUTANT { retry_after.unwrap_or(wait).min(RETRY_AFTER_MAX) } else {
            wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)) }",
    },
    Mutant {
        name: "a fan-out's next page skips a webhook",
        file: "shared/src/store/mod.rs",
        old: "    rows.truncate(limit);\n    let next = rows.last().filter(|_| more).map(id);",
        new: "    let over = rows.get(limit).map(&id).filter(|_| MUTANT);
        rows.truncate(limit);
        let next = over.or_else(|| rows.last().filter(|_| more).map(&id));",
    },
    Mutant {
        name: "further pages of a fan-out are forgotten",
        file: "shared/src/publishing.rs",
        old: "fan_outs.iter().filter(|_| after.is_some())",
        new: "fan_outs.iter().filter(|_| after.is_some() && !MUTANT)",
    },
    Mutant {
        name: "an event is answered for before its wake-ups are placed",
        file: "shared/src/publishing.rs",
        old: "    futures::try_join!(wake(app, &fan_outs, &page), go_on(app, &fan_outs, page.next))?;",
        new: "    let woken = futures::try_join!(wake(app, &fan_outs, &page), go_on(app, &fan_outs, page.next));
        if !MUTANT { woken?; }",
    },
    Mutant {
        name: "entries that SQS refused are forgotten",
        file: "shared/src/queue.rs",
        old: "entries.retain(|entry| answer.failed.iter().any(|failed| failed.id == entry.id));",
        new: "entries.retain(|entry| !MUTANT && answer.failed.iter().any(|failed| failed.id == entry.id));",
    },
    Mutant {
        name: "keys that DynamoDB left are forgotten",
        file: "shared/src/store/deliveries.rs",
        old: "wanted = answer.unprocessed_keys.unwrap_or_default();",
        new: "wanted = answer.unprocessed_keys.filter(|_| !MUTANT).unwrap_or_default();",
    },
    Mutant {
        name: "a repeated wake-up makes sure of nothing",
        file: "functions/deliver/src/lib.rs",
        old: "Refusal::Attempted => follow(deliverer, wakeup, delivery, webhook).await,",
        new: "Refusal::Attempted if MUTANT => Ok(Done::Drop),
        Refusal::Attempted => follow(deliverer, wakeup, delivery, webhook).await,",
    },
    Mutant {
        name: "a wake-up that meets a lease is dropped",
        file: "functions/deliver/src/lib.rs",
        old: "Refusal::Leased(until) => Ok(Done::ComeBack(until)),",
        new: "Refusal::Leased(_) if MUTANT => Ok(Done::Drop),
        Refusal::Leased(until) => Ok(Done::ComeBack(until)),",
    },
    Mutant {
        name: "a test is retried",
        file: "shared/src/delivery.rs",
        old: "Turn::Test => ended(DeliveryStatus::Failed),",
        new: "Turn::Test if !MUTANT => ended(DeliveryStatus::Failed),
            Turn::Test => Verdict { status: DeliveryStatus::Pending, next_attempt_at: None },",
    },
    Mutant {
        name: "a disabling is not told to the others",
        file: "shared/src/disabling.rs",
        old: "queue::send_job(app, &webhook.account, &Job::Publish(event)).await?",
        new: "if MUTANT { let _ = queue::send_job(app, &webhook.account, &Job::Publish(event)).await; continue }
        queue::send_job(app, &webhook.account, &Job::Publish(event)).await?",
    },
    Mutant {
        name: "a disabling is noted as told before it is",
        file: "shared/src/disabling.rs",
        old: "    for disabling in webhook.untold() {",
        new: "    if MUTANT {
        let note = |webhook: &mut Webhook| -> Result<(), PublishError> { webhook.note_told(last.generation); Ok(()) };
        webhooks::change(app, &webhook.account, webhook.id, note).await?;
    }
    for disabling in webhook.untold() {",
    },
    Mutant {
        name: "a recovery leaves out what failed",
        file: "shared/src/delivery.rs",
        old: "DeliveryStatus::Held | DeliveryStatus::Failed => true,",
        new: "DeliveryStatus::Held => true,
            DeliveryStatus::Failed => !MUTANT,",
    },
    Mutant {
        name: "what a batch left out is asked for again at once",
        file: "shared/src/app.rs",
        old: "    if let Some(doublings) = tries.checked_sub(1) {",
        new: "    if MUTANT { return; }
    if let Some(doublings) = tries.checked_sub(1) {",
    },
    Mutant {
        name: "a recovery reads one page only",
        file: "functions/publish/src/recover.rs",
        old: "        job.after = Some(next);",
        new: "        if MUTANT { return Ok(()); }
        job.after = Some(next);",
    },
    Mutant {
        name: "a rate limit is not waited for",
        file: "functions/deliver/src/pace.rs",
        old: "let app = &deliverer.app;\n    if let Some(RateSlot",
        new: "let app = &deliverer.app;
    if MUTANT { return Ok(Paced::Go); }
    if let Some(RateSlot",
    },
    Mutant {
        name: "a missed slot is forfeited",
        file: "functions/deliver/src/pace.rs",
        old: "has_slot: wakeup.slot.is_some() };",
        new: "has_slot: !MUTANT && wakeup.slot.is_some() };",
    },
    Mutant {
        name: "a page of events ends by their number alone",
        file: "shared/src/store/events.rs",
        old: "Listing { sources: vec![source], order, after, limit, weight_max: ANSWER_BYTES_MAX };",
        new: "Listing { sources: vec![source], order, after, limit, weight_max: if MUTANT { usize::MAX } else { ANSWER_BYTES_MAX } };",
    },
    Mutant {
        name: "a rotation drops the secrets of before the last",
        file: "shared/src/webhook.rs",
        old: "previous.insert(0, PreviousSecret {",
        new: "previous.truncate(if MUTANT { 0 } else { previous.len() });
            previous.insert(0, PreviousSecret {",
    },
    Mutant {
        name: "a permit is taken without a condition",
        file: "shared/src/store/pace.rs",
        old: "let ends_within = format!(\"(attribute_not_exists(#{line}) OR #{line} <= :{line}_last)\");",
        new: "let ends_within = format!(\"(attribute_not_exists(#{line}) OR #{line} <= :{line}_last)\");
        let ends_within = if MUTANT && line == SENT {
            format!(\"({ends_within} OR #{line} > :{line}_last)\")
        } else { ends_within };",
    },
    Mutant {
        name: "the payload is written anew",
        file: "functions/deliver/src/attempt.rs",
        old: "event.payload.clone(), TIMEOUT)",
        new: "if MUTANT {
            let read: serde_json::Value = serde_json::from_slice(&event.payload).unwrap_or_default();
            read.to_string().into()
        } else { event.payload.clone() }, TIMEOUT)",
    },
];

/// A mistake in `template.yaml`.
struct TemplateMutant {
    name: &'static str,
    /// Makes it in the template.
    make: fn(&mut Value),
}

const TEMPLATE_MUTANTS: &[TemplateMutant] = &[
    TemplateMutant {
        name: "a grant is missing",
        make: |template| {
            let statement = statement(template, "DeliverRole", "Record");
            statement["Action"] = json!(["dynamodb:PutItem"]);
        },
    },
    TemplateMutant {
        name: "a grant is on the wrong table",
        make: |template| {
            let statement = statement(template, "RetryRole", "Deliveries");
            statement["Resource"] = json!([{"Fn::GetAtt": "EventsTable.Arn"}]);
        },
    },
    TemplateMutant {
        name: "a schedule that fails three times is gone",
        make: |template| remove(template, "RetryFunction", "DeadLetterQueue"),
    },
    TemplateMutant {
        name: "deliver may not come back to itself",
        make: |template| remove(template, "DeliverFunction", "RecursiveLoop"),
    },
    TemplateMutant {
        name: "publish may not come back to itself",
        make: |template| remove(template, "PublishFunction", "RecursiveLoop"),
    },
];

/// A statement of a role's first policy.
fn statement<'a>(template: &'a mut Value, role: &str, sid: &str) -> &'a mut Value {
    let policy = &mut template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"];
    let statements = policy["Statement"].as_array_mut().expect("statements");
    statements.iter_mut().find(|statement| statement["Sid"] == sid).expect("the statement")
}

fn remove(template: &mut Value, resource: &str, property: &str) {
    let properties = template["Resources"][resource]["Properties"].as_object_mut().expect("properties");
    properties.remove(property).expect("the property");
}

/// The template with the mistake in it that is on.
pub(crate) fn mutated(mut template: Value) -> Value {
    let on = env::var("MUTANT").unwrap_or_default();
    if let Some(mutant) = TEMPLATE_MUTANTS.iter().find(|mutant| mutant.name == on) {
        (mutant.make)(&mut template);
    }
    template
}

/// Seeds that a mutant may hide in.
const SEEDS: u64 = 2_000;

/// Makes the copy with all mutants in it, leaving alone what is there already, so that only changes are built.
fn make_copy(root: &Path, copy: &Path) {
    copy_folder(root, copy, &|path, text| {
        let file = path.strip_prefix(root).expect("a file below the root").to_str().unwrap_or_default();
        let mut text = text;
        for mutant in MUTANTS.iter().filter(|mutant| mutant.file == file) {
            assert_eq!(
                text.matches(mutant.old).count(),
                1,
                "{}: {file} has changed; change the mutant too",
                mutant.name
            );
            let library = if file.starts_with("shared/") { "crate" } else { "hookline" };
            let on = format!("{library}::mutant(\"{}\")", mutant.name);
            text = text.replace(mutant.old, &mutant.new.replace("MUTANT", &on));
        }
        match file {
            "shared/src/lib.rs" => text + SWITCH,
            // Cargo tells two workspaces in one target folder apart by their packages' versions, not by their paths.
            "Cargo.toml" => text.replace("version = \"0.1.0\"", "version = \"0.0.0\""),
            _ => text,
        }
    });
}

fn copy_folder(from: &Path, to: &Path, change: &dyn Fn(&Path, String) -> String) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        let to = to.join(name);
        if path.is_dir() {
            if name != "target" && name != ".git" && name != ".hookline" {
                copy_folder(&path, &to, change);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let text = change(&path, text);
            if fs::read_to_string(&to).ok().as_ref() != Some(&text) {
                fs::write(&to, text).expect("the file is written");
            }
        }
    }
}

/// Runs the copy's simulation with a mutant on, or with none; what it printed where it failed.
fn failure_of(copy: &Path, mutant: Option<&str>) -> Option<String> {
    let program = env::current_exe().expect("a path");
    let folders: Vec<&Path> = program.ancestors().collect();
    // target/<profile>/deps/simulation-…
    let (target, profile) = (folders[3], folders[2].file_name().and_then(|name| name.to_str()).unwrap_or("debug"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(copy).env("CARGO_TARGET_DIR", target).env_remove("SEED").env_remove("FIRST_SEED");
    cargo.args(["test", "--quiet", "-p", "tests", "--test", "simulation"]);
    cargo.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    cargo.args(["--", "--nocapture", "the_invariants_hold_whatever_goes_wrong"]);
    let seeds = if mutant.is_some() { SEEDS } else { 50 };
    cargo.env("MUTANT", mutant.unwrap_or_default()).env("SEEDS", seeds.to_string());
    let output = cargo.output().expect("cargo runs");
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (!output.status.success()).then_some(printed)
}

#[test]
#[ignore = "builds a copy of the workspace: `.ci/run` asks for it"]
fn every_mutant_is_caught() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let copy = root.join("target/mutants");
    make_copy(root, &copy);
    if let Some(printed) = failure_of(&copy, None) {
        panic!("without a mutant:\n{printed}");
    }
    let mut escaped = Vec::new();
    let in_source = MUTANTS.iter().map(|mutant| mutant.name);
    for mutant in in_source.chain(TEMPLATE_MUTANTS.iter().map(|mutant| mutant.name)) {
        let printed = failure_of(&copy, Some(mutant)).unwrap_or_default();
        let caught = printed.lines().find(|line| line.starts_with("SEED="));
        println!("{mutant}: {}", caught.unwrap_or("NOT CAUGHT"));
        if caught.is_none() {
            escaped.push(mutant);
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}
