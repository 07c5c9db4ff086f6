//! EventBridge Scheduler: one-time schedules over its REST protocol, and the hand-out of those that are due.
//!
//! The file holds the schedules. Memory holds only when each is due. The module supports what Hookline uses: `at()` in UTC, no
//! flexible window, deletion after completion. It refuses everything else, so that nothing only seems to work. A schedule fires
//! at its second (AWS takes up to a minute more). Every group exists without being created.

use super::{
    ACCOUNT, REGION,
    wire::{self, Fault},
};
use bytes::Bytes;
use domain::time::{Clock, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// The table of schedules. DynamoDB's tables cannot have the same name, because theirs never contain a colon.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS \"scheduler:schedule\" (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_name TEXT NOT NULL,
    name TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (group_name, name)
)";

/// The most bytes of a target's input: AWS's limit.
const INPUT_BYTES_MAX: usize = 256 * 1024;
/// The longest wait before the clock is read again. While a laptop sleeps, timers stop, but the clock does not.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A schedule that is due, as [`EmbeddedAws::next_due_schedule`](super::EmbeddedAws::next_due_schedule) returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// The schedule's name, unique within its group.
    pub name: String,
    /// The schedule group.
    pub group: String,
    /// The ARN of what the schedule invokes.
    pub target_arn: String,
    /// The input for the target: the text given at creation, or else `{}`.
    pub input: String,
    /// When it was due to fire.
    pub due: Timestamp,
    /// How often this process has handed it out, including this time.
    pub attempt: u32,
    id: i64,
}

/// When each schedule is due.
pub(super) struct Schedules {
    clock: Clock,
    /// The due time in milliseconds and the id of every schedule that is not handed out, with its attempts so far. If an id has
    /// no row in the file, the schedule has been deleted.
    due: BTreeMap<(i64, i64), u32>,
    /// The ids of the schedules that are handed out.
    handed_out: BTreeSet<i64>,
    /// Notified when a schedule may be due earlier than was known.
    changed: Arc<Notify>,
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

/// The next thing to do with the schedules.
pub(super) enum Next {
    /// Hand out this schedule, which is due.
    Due(DueSchedule),
    /// No schedule is due. Look again after this time.
    Wait(Duration),
}

/// A request for `/schedules/{name}`.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) name: String,
    pub(super) group: Option<String>,
    pub(super) body: Bytes,
}

impl Schedules {
    /// Returns what is notified when a schedule may be due earlier than was known.
    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Loads the schedules from the file.
    pub(super) fn load(connection: &Connection, clock: Clock) -> anyhow::Result<Self> {
        let (due, handed_out, changed) = (BTreeMap::new(), BTreeSet::new(), Arc::default());
        let mut schedules = Self { clock, due, handed_out, changed };
        schedules.reload(connection)?;
        Ok(schedules)
    }

    /// Replaces the state in memory by what the file holds. Schedules that are handed out stay so.
    pub(super) fn reload(&mut self, connection: &Connection) -> anyhow::Result<()> {
        let mut statement = connection.prepare("SELECT due_ms, id FROM \"scheduler:schedule\"")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let due = rows.collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
        self.due = due.into_iter().filter(|(_, id)| !self.handed_out.contains(id)).map(|key| (key, 0)).collect();
        self.changed.notify_waiters();
        Ok(())
    }

    /// Answers one request.
    pub(super) fn call(&mut self, connection: &Connection, request: &Request) -> Result<String, Fault> {
        let Request { method, name, group, body } = request;
        let group = group.as_deref().unwrap_or("default");
        match method.as_str() {
            "POST" => self.create(connection, name, body),
            "GET" => get(connection, group, name),
            "DELETE" => delete(connection, group, name),
            other => Err(Fault::unknown_operation(other)),
        }
    }

    fn create(&mut self, connection: &Connection, name: &str, body: &[u8]) -> Result<String, Fault> {
        let request: CreateSchedule = wire::read(body)?;
        let group = request.group_name.as_deref().unwrap_or("default");
        let due_ms = request.check(name, group)?.unix_ms();
        let document = std::str::from_utf8(body).map_err(|error| Fault::serialization(&error.to_string()))?;
        if let Some((stored, _)) = find(connection, group, name)? {
            // The SDK repeats a request whose answer was lost. A repeated request has the same token.
            let token = wire::read::<CreateSchedule>(stored.as_bytes())?.client_token;
            if token.is_none() || token != request.client_token {
                return Err(Fault::new(409, "ConflictException", format!("Schedule {name} already exists.")));
            }
        } else {
            let sql = "INSERT INTO \"scheduler:schedule\" (group_name, name, due_ms, created_ms, document)
                VALUES (?, ?, ?, ?, ?)";
            let row = params![group, name, due_ms, self.clock.now().unix_ms(), document];
            connection.prepare_cached(sql)?.execute(row)?;
            self.due.insert((due_ms, connection.last_insert_rowid()), 0);
            self.changed.notify_waiters();
        }
        Ok(json!({"ScheduleArn": schedule_arn(group, name)}).to_string())
    }

    /// Hands out the schedule that has been due the longest.
    pub(super) fn hand_out(&mut self, connection: &Connection) -> Result<Next, Fault> {
        let now = self.clock.now();
        while let Some((&(due_ms, id), &attempts)) = self.due.first_key_value() {
            if due_ms > now.unix_ms() {
                return Ok(Next::Wait(Timestamp::from_unix_ms(due_ms).since(now).min(WAIT_MAX)));
            }
            let row: Option<(String, String, i64, String)> = connection
                .prepare_cached("SELECT group_name, name, due_ms, document FROM \"scheduler:schedule\" WHERE id = ?")?
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?;
            self.due.remove(&(due_ms, id));
            let Some((group, name, due_ms, document)) = row else { continue };
            let CreateSchedule { target, .. } = wire::read(document.as_bytes())?;
            self.handed_out.insert(id);
            return Ok(Next::Due(DueSchedule {
                name,
                group,
                target_arn: target.arn,
                input: target.input.unwrap_or_else(|| "{}".to_owned()),
                due: Timestamp::from_unix_ms(due_ms),
                attempt: attempts.saturating_add(1),
                id,
            }));
        }
        Ok(Next::Wait(WAIT_MAX))
    }

    /// See [`EmbeddedAws::schedule_done`](super::EmbeddedAws::schedule_done).
    pub(super) fn done(&mut self, connection: &Connection, schedule: &DueSchedule) -> Result<(), Fault> {
        let sql = "DELETE FROM \"scheduler:schedule\" WHERE id = ?";
        connection.prepare_cached(sql)?.execute([schedule.id])?;
        self.handed_out.remove(&schedule.id);
        Ok(())
    }

    /// See [`EmbeddedAws::schedule_failed`](super::EmbeddedAws::schedule_failed).
    pub(super) fn failed(&mut self, schedule: &DueSchedule, retry_in: Duration) {
        if self.handed_out.remove(&schedule.id) {
            let due_ms = self.clock.now().plus(retry_in).unix_ms();
            self.due.insert((due_ms, schedule.id), schedule.attempt);
            self.changed.notify_waiters();
        }
    }
}

/// Returns the stored request and when it was received, in milliseconds since the Unix epoch.
fn find(connection: &Connection, group: &str, name: &str) -> rusqlite::Result<Option<(String, i64)>> {
    let sql = "SELECT document, created_ms FROM \"scheduler:schedule\" WHERE group_name = ? AND name = ?";
    connection.prepare_cached(sql)?.query_row([group, name], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn get(connection: &Connection, group: &str, name: &str) -> Result<String, Fault> {
    let (document, created_ms) = find(connection, group, name)?.ok_or_else(|| not_found(name))?;
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

fn delete(connection: &Connection, group: &str, name: &str) -> Result<String, Fault> {
    let sql = "DELETE FROM \"scheduler:schedule\" WHERE group_name = ? AND name = ?";
    let deleted = connection.prepare_cached(sql)?.execute([group, name])?;
    if deleted == 0 { Err(not_found(name)) } else { Ok("{}".to_owned()) }
}

impl CreateSchedule {
    /// Checks that this scheduler supports the request, and returns when the schedule is due.
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

/// Parses `at(yyyy-mm-ddThh:mm:ss)`.
fn read_at(expression: &str) -> Option<Timestamp> {
    let moment = expression.strip_prefix("at(")?.strip_suffix(')')?;
    // The length excludes fractions and offsets, which RFC 3339 allows and `at` does not.
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
