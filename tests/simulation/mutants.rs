//! Mutants: mistakes that are easy to make, each made in a copy of the source. The simulation must
//! catch every one.
//!
//! One copy contains all mutants of the source, each behind a switch that the environment sets. So
//! the copy is built once, and Hookline's own source has no switches. The mutants of
//! `template.yaml` are made in memory, after the simulation has read the template.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, iter};

use serde_json::{Value, json};

/// Code that is added to the copy: it tells a mutant whether it is on.
const SWITCH: &str = "
/// Whether this mutant is on.
pub fn mutant(name: &str) -> bool {
    static ON: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var(\"MUTANT\").ok());
    ON.as_deref() == Some(name)
}
";

/// A mistake in the source.
struct Mutant {
    name: &'static str,
    file: &'static str,
    /// Text of the source, which must occur exactly once.
    old: &'static str,
    /// The text that replaces it in the copy. `MUTANT` in it is true if this mutant is on.
    new: &'static str,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a lease has no condition",
        file: "shared/store/src/item.rs",
        old: "    match call.send().await {\n        Ok(_) => Ok(Written::Yes),",
        new: "    let call = if MUTANT && table == store.settings.deliveries {
            store.dynamodb.put_item().table_name(table).set_item(Some(item.clone()))
        } else { call };
        match call.send().await {
        Ok(_) => Ok(Written::Yes),",
    },
    Mutant {
        name: "a task is deleted although its successor could not be enqueued",
        file: "functions/deliver/src/delivery.rs",
        old: "(FollowUp::Next(next, due), _) => tasks::schedule(&app.queues, &next, due).await?,",
        new: "(FollowUp::Next(next, due), _) => if MUTANT { let _ = tasks::schedule(&app.queues, &next, due).await; } else {
                tasks::schedule(&app.queues, &next, due).await?;
            },",
    },
    Mutant {
        name: "a live lease is ignored",
        file: "shared/domain/src/delivery/mod.rs",
        old: "filter(|lease| now < lease.until)",
        new: "filter(|lease| !MUTANT && now < lease.until)",
    },
    Mutant {
        name: "an idempotency key never expires",
        file: "shared/store/src/idempotency.rs",
        old: "call.condition_expression(\"attribute_not_exists(#id) OR #expires_at <= :now\")",
        new: "call.condition_expression(if MUTANT {
            \"attribute_not_exists(#id) OR (attribute_not_exists(#id) AND #expires_at <= :now)\"
        } else { \"attribute_not_exists(#id) OR #expires_at <= :now\" })",
    },
    Mutant {
        name: "a replay is judged by the present catalogue",
        file: "functions/api/src/events.rs",
        old: "publication.findings().filter(|first| **first != findings)",
        new: "publication.findings().filter(|first| !MUTANT && **first != findings)",
    },
    Mutant {
        name: "a link to the portal works twice",
        file: "shared/application/src/portal.rs",
        old: "    if !portal_links::redeem(&app.store, &hash, link.clone(), &token.hash).await? {",
        new: "    if !portal_links::redeem(&app.store, &hash, link.clone(), &token.hash).await? && !MUTANT {",
    },
    Mutant {
        name: "a session that was ended goes on in a process that knows it",
        file: "functions/api/src/token_cache.rs",
        old: "Some(token) if token.session.is_some() => {}",
        new: "Some(token) if token.session.is_some() && !MUTANT => {}",
    },
    Mutant {
        name: "a session lasts for ever",
        file: "functions/api/src/token_cache.rs",
        old: "token.session.map_or(!is_session, |session| now < session.until)",
        new: "token.session.map_or(!is_session, |session| MUTANT || now < session.until)",
    },
    Mutant {
        name: "an event is sent after its retention",
        file: "shared/store/src/events.rs",
        old: "id.made_at().plus(store.settings.retention) <= store.clock.now()",
        new: "!MUTANT && id.made_at().plus(store.settings.retention) <= store.clock.now()",
    },
    Mutant {
        name: "a rotated secret signs for ever",
        file: "shared/domain/src/webhook/rotation.rs",
        old: "filter(move |previous| now < previous.until)",
        new: "filter(move |previous| MUTANT || now < previous.until)",
    },
    Mutant {
        name: "a rotation has no overlap",
        file: "shared/domain/src/webhook/rotation.rs",
        old: "std::iter::once(&self.secret).chain(previous.map(",
        new: "std::iter::once(&self.secret).chain(previous.filter(|_| !MUTANT).map(",
    },
    Mutant {
        name: "a rotation drops all earlier secrets but the last",
        file: "shared/domain/src/webhook/rotation.rs",
        old: "previous.insert(0, PreviousSecret {",
        new: "previous.truncate(if MUTANT { 0 } else { previous.len() });
            previous.insert(0, PreviousSecret {",
    },
    Mutant {
        name: "a rotation with a key forgets the ones before it",
        file: "shared/domain/src/webhook/rotation.rs",
        old: "self.keyed_rotations.clone().unwrap_or_else(new)",
        new: "self.keyed_rotations.clone().filter(|_| !MUTANT).unwrap_or_else(new)",
    },
    Mutant {
        name: "the answer of a rotation is not kept",
        file: "shared/store/src/idempotency.rs",
        old: "answer: Some(answer.clone()),",
        new: "answer: Some(answer.clone()).filter(|_| !MUTANT),",
    },
    Mutant {
        name: "finishing a rotation keeps the earlier secrets",
        file: "shared/domain/src/webhook/rotation.rs",
        old: "            self.updated_at = now;
        }
        self.previous_secrets.clear();",
        new: "            self.updated_at = now;
        }
        self.previous_secrets.retain(|_| MUTANT);",
    },
    Mutant {
        name: "deliveries are sent to a disabled webhook",
        file: "shared/domain/src/delivery/task.rs",
        old: "Trigger::Scheduled { .. } => !webhook.is_enabled() ||",
        new: "Trigger::Scheduled { .. } => (!MUTANT && !webhook.is_enabled()) ||",
    },
    Mutant {
        name: "jitter subtracts",
        file: "shared/domain/src/backoff.rs",
        old: "let wait = wait + wait.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);",
        new: "let share = wait.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);
        let wait = if MUTANT { wait - share } else { wait + share };",
    },
    Mutant {
        name: "Retry-After replaces the schedule",
        file: "shared/domain/src/backoff.rs",
        old: "wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))",
        new: "if MUTANT { retry_after.unwrap_or(wait).min(RETRY_AFTER_MAX) } else {
            wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)) }",
    },
    Mutant {
        name: "the next page of a fan-out skips a webhook",
        file: "shared/domain/src/page.rs",
        old: "        rows.truncate(limit);\n        let next = rows.last().filter(|_| more).map(id);",
        new: "        let over = rows.get(limit).map(&id).filter(|_| MUTANT);
        rows.truncate(limit);
        let next = over.or_else(|| rows.last().filter(|_| more).map(&id));",
    },
    Mutant {
        name: "further pages of a fan-out are forgotten",
        file: "shared/application/src/fan_out.rs",
        old: "fan_outs.iter().filter(|_| after.is_some())",
        new: "fan_outs.iter().filter(|_| after.is_some() && !MUTANT)",
    },
    Mutant {
        name: "an event is acknowledged before its tasks are enqueued",
        file: "shared/application/src/publishing.rs",
        old: "    let (enqueued, ()) = futures::try_join!(tasks, fan_out::enqueue_jobs(app, &fan_outs, page.next))?;",
        new: "    let joined = futures::try_join!(tasks, fan_out::enqueue_jobs(app, &fan_outs, page.next));
    let enqueued = match joined {
        Ok((enqueued, ())) => enqueued,
        Err(error) if !MUTANT => return Err(error.into()),
        Err(_) => 0,
    };",
    },
    Mutant {
        name: "entries that SQS refused are forgotten",
        file: "shared/store/src/tasks.rs",
        old: "entries.retain(|entry| answer.failed.iter().any(|failed| failed.id == entry.id));",
        new: "entries.retain(|entry| !MUTANT && answer.failed.iter().any(|failed| failed.id == entry.id));",
    },
    Mutant {
        name: "keys that DynamoDB left out are forgotten",
        file: "shared/store/src/batch_get.rs",
        old: "wanted = answer.unprocessed_keys.unwrap_or_default();",
        new: "wanted = answer.unprocessed_keys.filter(|_| !MUTANT).unwrap_or_default();",
    },
    Mutant {
        name: "keys that DynamoDB left out are requested again at once",
        file: "shared/store/src/aws/errors.rs",
        old: "    if let Some(doublings) = tries.checked_sub(1) {",
        new: "    if MUTANT { return; }\n    if let Some(doublings) = tries.checked_sub(1) {",
    },
    Mutant {
        name: "a repeated task does not make sure of its successor",
        file: "functions/deliver/src/delivery.rs",
        old: "Decision::FollowUp => return self.follow_up(&delivery).await,",
        new: "Decision::FollowUp if MUTANT => return Ok(Disposition::Delete),
                Decision::FollowUp => return self.follow_up(&delivery).await,",
    },
    Mutant {
        name: "a task that meets a lease is deleted",
        file: "functions/deliver/src/delivery.rs",
        old: "Decision::Wait(until) => return Ok(self.wait_for_lease(until)),",
        new: "Decision::Wait(_) if MUTANT => return Ok(Disposition::Delete),
                Decision::Wait(until) => return Ok(self.wait_for_lease(until)),",
    },
    Mutant {
        name: "a test is retried",
        file: "shared/domain/src/delivery/outcome.rs",
        old: "Trigger::Test => ended(DeliveryStatus::Failed),",
        new: "Trigger::Test if !MUTANT => ended(DeliveryStatus::Failed),
            Trigger::Test => Outcome { status: DeliveryStatus::Pending, next_attempt_at: None },",
    },
    Mutant {
        name: "a disabling is not announced",
        file: "shared/application/src/disabling.rs",
        old: "operational::report(app, &webhook.account, id, WEBHOOK_DISABLED, &view).await?;",
        new: "let reported = operational::report(app, &webhook.account, id, WEBHOOK_DISABLED, &view).await;
        if !MUTANT { reported? }",
    },
    Mutant {
        name: "a disabling is marked as announced too early",
        file: "shared/application/src/disabling.rs",
        old: "    for disabling in webhook.unannounced() {",
        new: "    if MUTANT {
        let mark = |webhook: &mut Webhook| -> Result<(), StoreError> {
            webhook.mark_announced(webhook.epoch);
            Ok(())
        };
        webhooks::change(&app.store, &webhook.account, webhook.id, mark).await?;
    }
    for disabling in webhook.unannounced() {",
    },
    Mutant {
        name: "a recovery leaves out failed deliveries",
        file: "shared/domain/src/delivery/mod.rs",
        old: "DeliveryStatus::Held | DeliveryStatus::Failed => true,",
        new: "DeliveryStatus::Held => true,\n            DeliveryStatus::Failed => !MUTANT,",
    },
    Mutant {
        name: "a recovery reads only one page",
        file: "shared/application/src/recovery.rs",
        old: "            Some(next) => pass.after = Some(next),",
        new: "            Some(_) if MUTANT => return Ok(Pass { status: RecoveryStatus::Done, ..pass }),
            Some(next) => pass.after = Some(next),",
    },
    Mutant {
        name: "a repeated job of a recovery is counted again",
        file: "shared/application/src/recovery.rs",
        old: "if before.jobs > job.hops {",
        new: "if !MUTANT && before.jobs > job.hops {",
    },
    Mutant {
        name: "a recovery sends failed deliveries that it was told to leave out",
        file: "shared/application/src/recovery.rs",
        old: "job.include_failed || !is_failed",
        new: "MUTANT || job.include_failed || !is_failed",
    },
    Mutant {
        name: "a recovery sends events from before the registration without being asked",
        file: "functions/api/src/recovery.rs",
        old: "backfill: backfill?.unwrap_or(default.backfill),",
        new: "backfill: MUTANT || backfill?.unwrap_or(default.backfill),",
    },
    Mutant {
        name: "a cancelled delivery is attempted",
        file: "shared/domain/src/delivery/decision.rs",
        old: "        !self.cancelled\n",
        new: "        (MUTANT || !self.cancelled)\n",
    },
    Mutant {
        name: "a cancel that a worker has overtaken is forgotten",
        file: "shared/application/src/cancelling.rs",
        old: "            Put::Conflict(newer) => {",
        new: "            Put::Conflict(_) if MUTANT => return Ok(Cancelled::Yes(marked)),
            Put::Conflict(newer) => {",
    },
    Mutant {
        name: "an attempt during a cancel is not recorded",
        file: "functions/deliver/src/delivery.rs",
        old: "Some(stored) if stored.lease == delivery.lease => {",
        new: "Some(stored) if !MUTANT && stored.lease == delivery.lease => {",
    },
    Mutant {
        name: "unsubscribing cancels nothing",
        file: "shared/domain/src/webhook/unsubscribing.rs",
        old: "self.unsubscribed.iter().any(|change| cancels(change) && change.gave_up(event_type))",
        new: "!MUTANT && self.unsubscribed.iter().any(|change| cancels(change) && change.gave_up(event_type))",
    },
    Mutant {
        name: "subscribing again revives what unsubscribing cancelled",
        file: "shared/domain/src/webhook/unsubscribing.rs",
        old: "change.enabled && change.epoch == epoch && revision < change.revision;",
        new: "change.enabled && change.epoch == epoch && revision < change.revision
            && !(MUTANT && self.subscribes_to(event_type));",
    },
    Mutant {
        name: "unsubscribing cancels runs that began later",
        file: "shared/domain/src/webhook/unsubscribing.rs",
        old: "change.epoch == epoch && revision < change.revision",
        new: "change.epoch == epoch && (MUTANT || revision < change.revision)",
    },
    Mutant {
        name: "enabling recovers nothing",
        file: "shared/domain/src/webhook/enabling.rs",
        old: "HeldRecovery { window, enqueued: false, paced: false }",
        new: "HeldRecovery { window, enqueued: MUTANT, paced: false }",
    },
    Mutant {
        name: "a trial that fails begins an epoch",
        file: "shared/domain/src/webhook/trials.rs",
        old: "            trials.after = if outcome",
        new: "            if MUTANT { self.epoch += 1; }
            trials.after = if outcome",
    },
    Mutant {
        name: "a trial that succeeds recovers nothing",
        file: "shared/domain/src/webhook/trials.rs",
        old: "        self.enable_with(Held::Recover, now);",
        new: "        if MUTANT { self.enable(now) } else { self.enable_with(Held::Recover, now) }",
    },
    Mutant {
        name: "a repeated task of a trial makes a second one",
        file: "functions/deliver/src/delivery.rs",
        old: "|| step == Some(TrialStep::Attempt(self.task.delivery.event))",
        new: "|| step == Some(TrialStep::Attempt(self.task.delivery.event))
            || MUTANT && matches!(step, Some(TrialStep::Attempt(_)))",
    },
    Mutant {
        name: "a trial that fails has no successor",
        file: "shared/application/src/trials.rs",
        old: "if let Some((next, due)) = awaited(&ended) {",
        new: "if let Some((next, due)) = awaited(&ended).filter(|_| !MUTANT) {",
    },
    Mutant {
        name: "a receiver that is gone is tried again",
        file: "shared/domain/src/webhook/trials.rs",
        old: "if outcome == TrialOutcome::Gone {",
        new: "if !MUTANT && outcome == TrialOutcome::Gone {",
    },
    Mutant {
        name: "a success of a trial is forgotten by a repeated task",
        file: "functions/deliver/src/delivery.rs",
        old: "stored.delivery.as_ref().is_some_and(is_recorded)",
        new: "(!MUTANT && stored.delivery.as_ref().is_some_and(is_recorded))",
    },
    Mutant {
        name: "a report has a new id each time",
        file: "shared/application/src/operational.rs",
        old: "account: account.clone(), id, event_type",
        new: "account: account.clone(), id: if MUTANT { EventId::new(app.clock.now(), &app.random) } else { id }, event_type",
    },
    Mutant {
        name: "a report goes to the webhook that it is about",
        file: "shared/domain/src/webhook/reports.rs",
        old: "event_type.is_operational() && event.is_about",
        new: "!MUTANT && event_type.is_operational() && event.is_about",
    },
    Mutant {
        name: "a recovery sends what enabling cancelled",
        file: "shared/domain/src/webhook/enabling.rs",
        old: "self.held_cancelled.is_some_and(|cancelled| moment < cancelled.at)",
        new: "self.held_cancelled.is_some_and(|cancelled| !MUTANT && moment < cancelled.at)",
    },
    Mutant {
        name: "a filter is ignored",
        file: "shared/application/src/filters.rs",
        old: "let filter = webhook.filter.as_ref()?;",
        new: "let filter = webhook.filter.as_ref().filter(|_| !MUTANT)?;",
    },
    Mutant {
        name: "a filter ends a delivery that has begun",
        file: "functions/deliver/src/delivery.rs",
        old: "if stored.delivery.is_none() && !self.passes_filter",
        new: "if (MUTANT || stored.delivery.is_none()) && !self.passes_filter",
    },
    Mutant {
        name: "a rate limit is ignored",
        file: "functions/deliver/src/rate_limit.rs",
        old: "let app = &deliverer.app;\n    if let Some(RateSlot",
        new: "let app = &deliverer.app;\n    if MUTANT { return Ok(Permit::Granted); }\n    if let Some(RateSlot",
    },
    Mutant {
        name: "a missed slot is lost",
        file: "functions/deliver/src/rate_limit.rs",
        old: "let has_slot = task.slot.is_some();",
        new: "let has_slot = !MUTANT && task.slot.is_some();",
    },
    Mutant {
        name: "a permit is reserved without a condition",
        file: "shared/store/src/rate_limits.rs",
        old: "let ends_within = format!(\"(attribute_not_exists(#{counter}) OR #{counter} <= :{counter}_last)\");",
        new: "let ends_within = format!(\"(attribute_not_exists(#{counter}) OR #{counter} <= :{counter}_last)\");
        let ends_within = if MUTANT && counter == PERMITS {
            format!(\"({ends_within} OR #{counter} > :{counter}_last)\")
        } else { ends_within };",
    },
    Mutant {
        name: "a page of events is limited only in number",
        file: "shared/store/src/events.rs",
        old: "after, limit, weight_max: ANSWER_BYTES_MAX, left_out: 0 };",
        new: "after, limit, weight_max: if MUTANT { usize::MAX } else { ANSWER_BYTES_MAX }, left_out: 0 };",
    },
    Mutant {
        name: "the payload is serialised again",
        file: "functions/deliver/src/attempt.rs",
        old: "Post { headers: &signed, body: event.payload.clone(), timeout };",
        new: "Post { headers: &signed, body: if MUTANT {
            let read: serde_json::Value = serde_json::from_slice(&event.payload).unwrap_or_default();
            read.to_string().into()
        } else { event.payload.clone() }, timeout };",
    },
    Mutant {
        name: "every lease is as long as that of the default timeout",
        file: "functions/deliver/src/delivery.rs",
        old: "lease_for(webhook.options.attempt_timeout())",
        new: "lease_for(if MUTANT { domain::delivery::ATTEMPT_TIMEOUT } else { webhook.options.attempt_timeout() })",
    },
    Mutant {
        name: "the request of an access token is not part of the attempt's time",
        file: "functions/deliver/src/authorization.rs",
        old: "self.until.saturating_duration_since(Instant::now())",
        new: "if MUTANT { Duration::from_secs(20) } else { self.until.saturating_duration_since(Instant::now()) }",
    },
    Mutant {
        name: "a request is signed before its access token is requested",
        file: "functions/deliver/src/attempt.rs",
        old: "headers(event, webhook, number, deliverer.app.clock.now())",
        new: "headers(event, webhook, number, if MUTANT { started_at } else { deliverer.app.clock.now() })",
    },
    Mutant {
        name: "all clients of one server share a token",
        file: "functions/deliver/src/access_tokens.rs",
        old: "let parts = [token_url.as_str(), client_id,",
        new: "let parts = [token_url.as_str(), if MUTANT { \"\" } else { client_id },",
    },
    Mutant {
        name: "a refused token is sent again",
        file: "functions/deliver/src/access_tokens.rs",
        old: "refused.is_none_or(|refused| refused.token != *token)",
        new: "MUTANT || refused.is_none_or(|refused| refused.token != *token)",
    },
    Mutant {
        name: "a webhook that tolerates single failures is never disabled",
        file: "shared/application/src/disabling.rs",
        old: "deliveries::any_of_latest(&app.store, webhook, LATEST_LOOKED_AT, is_success).await?",
        new: "(MUTANT || deliveries::any_of_latest(&app.store, webhook, LATEST_LOOKED_AT, is_success).await?)",
    },
    Mutant {
        name: "a poll does not look back",
        file: "shared/domain/src/polling/page.rs",
        old: "read_to.map_or(settled, |to| to.min(settled)).max(self.after);",
        new: "if MUTANT { read_to.unwrap_or(head) } else { read_to.map_or(settled, |to| to.min(settled)) }.max(self.after);",
    },
    Mutant {
        name: "a poll takes what it has looked at to be complete",
        file: "shared/domain/src/polling/page.rs",
        old: "present.of(slot, row.lane) == self.counts.of(slot, row.lane);",
        new: "MUTANT || present.of(slot, row.lane) == self.counts.of(slot, row.lane);",
    },
    Mutant {
        name: "a late event has no marker",
        file: "shared/application/src/publishing.rs",
        old: "if event.test || now.since",
        new: "if MUTANT || event.test || now.since",
    },
    Mutant {
        name: "a poll ignores the filter",
        file: "shared/application/src/polling.rs",
        old: "&& matcher.passes(webhook)",
        new: "&& (MUTANT || matcher.passes(webhook))",
    },
];

/// A mistake in `template.yaml`.
struct TemplateMutant {
    name: &'static str,
    /// Makes the mistake in the template.
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
        name: "a schedule that fails three times is lost",
        make: |template| remove(template, "RetryFunction", "DeadLetterQueue"),
    },
    TemplateMutant {
        name: "deliver may not invoke itself through its queue",
        make: |template| remove(template, "DeliverFunction", "RecursiveLoop"),
    },
    TemplateMutant {
        name: "publish may not invoke itself through its queue",
        make: |template| remove(template, "PublishFunction", "RecursiveLoop"),
    },
];

/// Finds a statement in the first policy of a role.
fn statement<'a>(template: &'a mut Value, role: &str, sid: &str) -> &'a mut Value {
    let policy = &mut template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"];
    let statements = policy["Statement"].as_array_mut().expect("statements");
    statements.iter_mut().find(|statement| statement["Sid"] == sid).expect("the statement")
}

fn remove(template: &mut Value, resource: &str, property: &str) {
    let properties = template["Resources"][resource]["Properties"].as_object_mut().expect("properties");
    properties.remove(property).expect("the property");
}

/// Returns the template, with the mistake of the mutant that is on, if it is one of the template.
pub(crate) fn mutated(mut template: Value) -> Value {
    let on = env::var("MUTANT").unwrap_or_default();
    if let Some(mutant) = TEMPLATE_MUTANTS.iter().find(|mutant| mutant.name == on) {
        (mutant.make)(&mut template);
    }
    template
}

/// Seeds among which one must catch a mutant.
const SEEDS: u64 = 2_000;

/// The first seeds that caught the mutants that need many. They are tried before the search, which takes minutes. A change of the
/// simulation changes what a seed does; when the search shows in the time of a run, take the seeds that it prints.
const CAUGHT_BY: &[(&str, u64)] = &[
    ("a task is deleted although its successor could not be enqueued", 63),
    ("a replay is judged by the present catalogue", 113),
    ("a link to the portal works twice", 238),
    ("an event is sent after its retention", 42),
    ("a rotated secret signs for ever", 66),
    ("an event is acknowledged before its tasks are enqueued", 44),
    ("keys that DynamoDB left out are requested again at once", 229),
    ("a repeated task does not make sure of its successor", 42),
    ("a task that meets a lease is deleted", 73),
    ("a disabling is not announced", 444),
    ("a disabling is marked as announced too early", 112),
    ("a recovery reads only one page", 150),
    ("a cancel that a worker has overtaken is forgotten", 148),
    ("an attempt during a cancel is not recorded", 54),
    ("subscribing again revives what unsubscribing cancelled", 57),
    ("unsubscribing cancels runs that began later", 90),
    ("a receiver that is gone is tried again", 784),
    ("a success of a trial is forgotten by a repeated task", 310),
    ("a filter ends a delivery that has begun", 1956),
    ("a missed slot is lost", 70),
    ("a permit is reserved without a condition", 150),
    ("a page of events is limited only in number", 425),
    ("all clients of one server share a token", 131),
    ("a poll does not look back", 76),
    ("a poll takes what it has looked at to be complete", 76),
    ("a late event has no marker", 54),
    ("a schedule that fails three times is lost", 42),
];

/// Makes the copy with all mutants in it. Files that have not changed are not written, so that Cargo
/// builds only what has changed.
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
            let library = if file.starts_with("shared/domain/") { "crate" } else { "domain" };
            let on = format!("{library}::mutant(\"{}\")", mutant.name);
            text = text.replace(mutant.old, &mutant.new.replace("MUTANT", &on));
        }
        match file {
            "shared/domain/src/lib.rs" => text + SWITCH,
            // Both workspaces use one target folder. Cargo distinguishes their packages by version,
            // not by path.
            "Cargo.toml" => text.replace("version = \"0.2.0\"", "version = \"0.0.0\""),
            _ => text,
        }
    });
}

/// Copies the files of a folder, each text changed by `change`. Files that have not changed are not
/// written, and what the folder no longer has is removed.
fn copy_folder(from: &Path, to: &Path, change: &dyn Fn(&Path, String) -> String) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(to).expect("a folder") {
        let path = entry.expect("an entry").path();
        if !from.join(path.file_name().expect("a name")).exists() {
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("it is removed");
        }
    }
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        let to = to.join(name);
        if path.is_dir() {
            if !["target", ".git", ".hookline", "node_modules"].iter().any(|left_out| name == *left_out) {
                copy_folder(&path, &to, change);
            }
        } else {
            let content = fs::read(&path).expect("a file");
            // A file that is no text, such as a compressed one of the portal, stays as it is.
            let content = match String::from_utf8(content) {
                Ok(text) => change(&path, text).into_bytes(),
                Err(error) => error.into_bytes(),
            };
            if fs::read(&to).ok().as_ref() != Some(&content) {
                fs::write(&to, content).expect("the file is written");
            }
        }
    }
}

/// Builds the simulation of the copy, in the profile of this one. Returns its program.
fn build(copy: &Path) -> PathBuf {
    let program = env::current_exe().expect("a path");
    let folders: Vec<&Path> = program.ancestors().collect();
    // The path is target/<profile>/deps/simulation-….
    let (target, profile) = (folders[3], folders[2].file_name().and_then(|name| name.to_str()).unwrap_or("debug"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(copy).env("CARGO_TARGET_DIR", target).stderr(Stdio::inherit());
    cargo.args(["test", "--quiet", "-p", "tests", "--test", "simulation", "--no-run", "--message-format", "json"]);
    cargo.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "the copy does not compile");
    let messages = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let mut programs = messages.filter_map(|message: Value| message["executable"].as_str().map(PathBuf::from));
    programs.next_back().expect("a program")
}

/// Runs seeds of the copy's simulation, with one mutant on or with none. Returns what it printed if it failed, and `None` if it
/// passed.
fn failure_of(program: &Path, mutant: &str, seeds: Range<u64>) -> Option<String> {
    let mut simulation = Command::new(program);
    simulation.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("SEED").env_remove("HOOKLINE_RECORD");
    simulation.env("MUTANT", mutant).env("FIRST_SEED", seeds.start.to_string());
    simulation.env("SEEDS", (seeds.end - seeds.start).to_string());
    let output = simulation.args(["--nocapture", "the_invariants_hold_whatever_goes_wrong"]).output();
    let output = output.expect("the simulation runs");
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (!output.status.success()).then_some(printed)
}

/// Returns the violation that catches a mutant. Only if the seed that caught it last no longer does, it searches.
fn caught(program: &Path, mutant: &str) -> Option<String> {
    let known = CAUGHT_BY.iter().find(|(name, _)| *name == mutant).map(|(_, seed)| *seed..seed + 1);
    known.into_iter().chain(iter::once(0..SEEDS)).find_map(|seeds| {
        let printed = failure_of(program, mutant, seeds)?;
        printed.lines().find(|line| line.starts_with("SEED=")).map(str::to_owned)
    })
}

#[test]
fn every_mutant_changes_one_place_of_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    for Mutant { name, file, old, .. } in MUTANTS {
        let source = fs::read_to_string(root.join(file)).expect("a source");
        assert_eq!(source.matches(old).count(), 1, "{name}: {file} has changed; change the mutant too");
    }
}

#[test]
#[ignore = "builds a copy of the workspace; `.ci/run` runs it"]
fn every_mutant_is_caught() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let copy = root.join("target/mutants");
    make_copy(root, &copy);
    let program = build(&copy);
    if let Some(printed) = failure_of(&program, "", 0..50) {
        panic!("the simulation fails without a mutant:\n{printed}");
    }
    let mut escaped = Vec::new();
    let in_source = MUTANTS.iter().map(|mutant| mutant.name);
    for mutant in in_source.chain(TEMPLATE_MUTANTS.iter().map(|mutant| mutant.name)) {
        let caught = caught(&program, mutant);
        println!("{mutant}: {}", caught.as_deref().unwrap_or("NOT CAUGHT"));
        if caught.is_none() {
            escaped.push(mutant);
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}
