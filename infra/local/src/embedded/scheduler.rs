//! EventBridge Scheduler: one-time schedules over its REST protocol, and handing out what is due.
//!
//! The file holds the schedules; memory holds only when each is due. Of the service, what Hookline uses is here: `at()`
//! in UTC, no flexible window, deletion after completion. Anything else is refused, so that it cannot seem to work. A
//! schedule fires at its second (AWS takes up to a minute more), and every group is taken to exist.

use super::{
    ACCOUNT, REGION, sqlite,
    wire::{self, Fault},
};
use anyhow::Context;
use hookline::time::{Clock, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// The file of the schedules.
pub(super) const FILE: &str = "schedules.sqlite3";

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS schedule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_name TEXT NOT NULL,
    name TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (group_name, name)
)";

/// AWS's limit on what a schedule hands its target.
const INPUT_BYTES_MAX: usize = 256 * 1024;
/// The longest wait before looking at the clock again: while a laptop sleeps, timers stand still, the clock does not.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// The wait after the file could not be read.
const WAIT_AFTER_ERROR: Duration = Duration::from_secs(1);

/// A schedule that is due, handed out by [`EmbeddedAws::next_due_schedule`](super::EmbeddedAws::next_due_schedule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// The schedule's name, unique within its group.
    pub name: String,
    /// The schedule group.
    pub group: String,
    /// What is to be invoked.
    pub target_arn: String,
    /// What to hand to the target: the text given at creation, `{}` where none was.
    pub input: String,
    /// When it was to fire.
    pub due: Timestamp,
    /// How often this process has handed it out, this time included.
    pub attempt: u32,
    id: i64,
}

/// The schedules.
pub(super) struct Scheduler {
    clock: Clock,
    state: Mutex<State>,
    /// Told when something may be due earlier than was known.
    changed: Notify,
}

struct State {
    connection: Connection,
    /// Due moment and id of every schedule that is not handed out, with the attempts so far. An id whose row is gone
    /// has been deleted meanwhile.
    due: BTreeMap<(i64, i64), u32>,
    handed_out: BTreeSet<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateSchedule {
    group_name: Option<String>,
    schedule_expression: String,
    schedule_expression_timezone: Option<String>,
    flexible_time_window: FlexibleTimeWindow,
    action_after_completion: Option<String>,
    state: Option<String>,
    client_token: Option<String>,
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FlexibleTimeWindow {
    mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    arn: String,
    role_arn: String,
    input: Option<String>,
}

impl Scheduler {
    /// Opens the file in the folder `data`, or a database in memory.
    pub(super) fn open(data: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        let connection = sqlite::open(data, FILE, SCHEMA)?;
        let due = connection
            .prepare("SELECT due_ms, id FROM schedule")?
            .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), 0)))?
            .collect::<rusqlite::Result<_>>()?;
        let state = State { connection, due, handed_out: BTreeSet::new() };
        Ok(Self { clock, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Answers one request for `/schedules/{name}`.
    pub(super) fn call(&self, method: &str, name: &str, group: Option<&str>, body: &[u8]) -> Result<String, Fault> {
        let group = group.unwrap_or("default");
        match method {
            "POST" => self.create(name, body),
            "GET" => self.get(group, name),
            "DELETE" => self.delete(group, name),
            other => Err(Fault::unknown_operation(other)),
        }
    }

    fn create(&self, name: &str, body: &[u8]) -> Result<String, Fault> {
        let request: CreateSchedule = wire::read(body)?;
        let group = request.group_name.as_deref().unwrap_or("default");
        let due_ms = request.check(name, group)?.unix_ms();
        let document = std::str::from_utf8(body).map_err(|error| Fault::serialization(&error.to_string()))?;
        let mut state = self.lock();
        if let Some((stored, _)) = state.find(group, name)? {
            // The SDK repeats a request whose answer it lost; the token tells that it is the same one.
            let token = wire::read::<CreateSchedule>(stored.as_bytes())?.client_token;
            if token.is_none() || token != request.client_token {
                return Err(Fault::new(409, "ConflictException", format!("Schedule {name} already exists.")));
            }
        } else {
            let sql = "INSERT INTO schedule (group_name, name, due_ms, created_ms, document) VALUES (?, ?, ?, ?, ?)";
            let row = params![group, name, due_ms, self.clock.now().unix_ms(), document];
            state.connection.prepare_cached(sql)?.execute(row)?;
            let id = state.connection.last_insert_rowid();
            state.due.insert((due_ms, id), 0);
            self.changed.notify_waiters();
        }
        Ok(json!({"ScheduleArn": schedule_arn(group, name)}).to_string())
    }

    fn get(&self, group: &str, name: &str) -> Result<String, Fault> {
        let (document, created_ms) = self.lock().find(group, name)?.ok_or_else(|| not_found(name))?;
        let mut schedule: Value = wire::read(document.as_bytes())?;
        if let Value::Object(fields) = &mut schedule {
            fields.remove("ClientToken");
            fields.insert("Name".to_owned(), json!(name));
            fields.insert("GroupName".to_owned(), json!(group));
            fields.insert("Arn".to_owned(), json!(schedule_arn(group, name)));
            fields.insert("State".to_owned(), json!("ENABLED"));
            fields.insert("ScheduleExpressionTimezone".to_owned(), json!("UTC"));
            fields.insert("CreationDate".to_owned(), json!(created_ms / 1000));
            fields.insert("LastModificationDate".to_owned(), json!(created_ms / 1000));
        }
        Ok(schedule.to_string())
    }

    fn delete(&self, group: &str, name: &str) -> Result<String, Fault> {
        let state = self.lock();
        let mut statement =
            state.connection.prepare_cached("DELETE FROM schedule WHERE group_name = ? AND name = ?")?;
        if statement.execute([group, name])? == 0 { Err(not_found(name)) } else { Ok("{}".to_owned()) }
    }

    /// See [`EmbeddedAws::next_due_schedule`](super::EmbeddedAws::next_due_schedule).
    pub(super) async fn next_due(&self) -> DueSchedule {
        loop {
            // Listening begins before looking, or a schedule made in between would go unheard.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = self.clock.now();
            let (found, next_due_ms) = self.lock().hand_out(now);
            let wait = match found {
                Ok(Some(schedule)) => return schedule,
                Ok(None) => next_due_ms.map_or(WAIT_MAX, |due_ms| Timestamp::from_unix_ms(due_ms).since(now)),
                Err(error) => {
                    tracing::error!(%error, "cannot read a due schedule");
                    WAIT_AFTER_ERROR
                }
            };
            let _ = tokio::time::timeout(wait.min(WAIT_MAX), changed).await;
        }
    }

    /// See [`EmbeddedAws::schedule_done`](super::EmbeddedAws::schedule_done).
    pub(super) fn done(&self, schedule: &DueSchedule) -> anyhow::Result<()> {
        let mut state = self.lock();
        state
            .connection
            .prepare_cached("DELETE FROM schedule WHERE id = ?")?
            .execute([schedule.id])
            .with_context(|| format!("cannot delete the schedule {}", schedule.name))?;
        state.handed_out.remove(&schedule.id);
        Ok(())
    }

    /// See [`EmbeddedAws::schedule_failed`](super::EmbeddedAws::schedule_failed).
    pub(super) fn failed(&self, schedule: &DueSchedule, retry_in: Duration) {
        let mut state = self.lock();
        if state.handed_out.remove(&schedule.id) {
            let due_ms = self.clock.now().plus(retry_in).unix_ms();
            state.due.insert((due_ms, schedule.id), schedule.attempt);
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The stored request and when it came, in milliseconds.
    fn find(&self, group: &str, name: &str) -> rusqlite::Result<Option<(String, i64)>> {
        self.connection
            .prepare_cached("SELECT document, created_ms FROM schedule WHERE group_name = ? AND name = ?")?
            .query_row([group, name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    /// The schedule that has been due the longest, or none; and when the next one is due.
    fn hand_out(&mut self, now: Timestamp) -> (anyhow::Result<Option<DueSchedule>>, Option<i64>) {
        let found = self.take_due(now);
        (found, self.due.first_key_value().map(|((due_ms, _), _)| *due_ms))
    }

    fn take_due(&mut self, now: Timestamp) -> anyhow::Result<Option<DueSchedule>> {
        while let Some((&(due_ms, id), &attempts)) = self.due.first_key_value() {
            if due_ms > now.unix_ms() {
                break;
            }
            let row: Option<(String, String, i64, String)> = self
                .connection
                .prepare_cached("SELECT group_name, name, due_ms, document FROM schedule WHERE id = ?")?
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?;
            self.due.remove(&(due_ms, id));
            let Some((group, name, due_ms, document)) = row else { continue };
            let CreateSchedule { target, .. } = serde_json::from_str(&document)?;
            self.handed_out.insert(id);
            return Ok(Some(DueSchedule {
                name,
                group,
                target_arn: target.arn,
                input: target.input.unwrap_or_else(|| "{}".to_owned()),
                due: Timestamp::from_unix_ms(due_ms),
                attempt: attempts.saturating_add(1),
                id,
            }));
        }
        Ok(None)
    }
}

impl CreateSchedule {
    /// When the schedule is due, if the request is one that this scheduler can keep.
    fn check(&self, name: &str, group: &str) -> Result<Timestamp, Fault> {
        if !is_name(name) || !is_name(group) {
            return Err(invalid("Name and GroupName must match [0-9a-zA-Z-_.]{1,64}"));
        }
        if self.flexible_time_window.mode != "OFF" {
            return Err(invalid("FlexibleTimeWindow must be OFF here"));
        }
        if self.action_after_completion.as_deref() != Some("DELETE") {
            return Err(invalid("ActionAfterCompletion must be DELETE here"));
        }
        if self.state.as_deref().is_some_and(|state| state != "ENABLED") {
            return Err(invalid("State must be ENABLED here"));
        }
        if self.schedule_expression_timezone.as_deref().is_some_and(|zone| zone != "UTC") {
            return Err(invalid("ScheduleExpressionTimezone must be UTC here"));
        }
        if !self.target.arn.starts_with("arn:") || !self.target.role_arn.starts_with("arn:") {
            return Err(invalid("Provided Arn is not in correct format."));
        }
        if self.target.input.as_ref().is_some_and(|input| input.len() > INPUT_BYTES_MAX) {
            return Err(invalid("Input must be at most 256 KiB"));
        }
        read_at(&self.schedule_expression)
            .ok_or_else(|| invalid(format!("Invalid Schedule Expression {}.", self.schedule_expression)))
    }
}

/// Reads `at(yyyy-mm-ddThh:mm:ss)`.
fn read_at(expression: &str) -> Option<Timestamp> {
    let moment = expression.strip_prefix("at(")?.strip_suffix(')')?;
    // The length excludes fractions and offsets, which RFC 3339 has and `at` has not.
    if moment.len() == 19 { Timestamp::parse_rfc3339(&format!("{moment}Z")).ok() } else { None }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(400, "ValidationException", message)
}

fn not_found(name: &str) -> Fault {
    Fault::new(404, "ResourceNotFoundException", format!("Schedule {name} does not exist."))
}

fn schedule_arn(group: &str, name: &str) -> String {
    format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{group}/{name}")
}
