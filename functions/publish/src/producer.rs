//! Events of producers inside AWS. Such a producer does not use the API: it sends messages to the queue, or puts events on an
//! EventBridge bus with a rule that has the queue as its target.
//!
//! A message is a body of `POST /v1/events` with an `account`, and optionally the producer's own `idempotency_key`:
//! `{"account", "type", "data": {"object": {…}}, "previous_data"?, "idempotency_key"?, "traceparent"?}`. On a bus this is the `detail`, and the
//! queue receives it in EventBridge's envelope.
//!
//! The trace of the publication is the message attribute `traceparent`, or on a bus, whose events have no attributes, the field
//! `traceparent` of the body. An invalid one is ignored.
//!
//! An event that does not fit the schema of its type is treated as the type's `validation` says: with `warn` it is published and
//! logged, with `enforce` the message is no event.
//!
//! A message that is received twice publishes one event, because the event's id follows from the id of the message or of the
//! envelope, which stays the same. If a producer sends an event twice, only the idempotency key shows it, as in the API.

use crate::{Handled, MessageError};
use application::{App, judging, publishing::Publication};
use aws_lambda_events::sqs::SqsMessage;
use domain::{
    account::AccountId,
    event::{Event, NewEvent, REQUEST_BYTES_MAX},
    event_type::EventType,
    findings::Findings,
    id::EventId,
    input::{self, Fault, Fields, InputError},
    time::Timestamp,
    trace::TraceParent,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use store::{event_types, idempotency::KEY_MAX};

/// The message attribute, or the field of the body, with the trace.
const TRACE: &str = "traceparent";
/// How long EventBridge tries to deliver an event.
const BUS_DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How far a bus's clock may be ahead of the queue's.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A producer's event.
struct Produced {
    account: AccountId,
    new: NewEvent,
    idempotency_key: Option<String>,
    trace: Option<TraceParent>,
}

/// EventBridge's envelope.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: String,
    time: String,
    #[serde(borrow)]
    detail: &'a RawValue,
    #[serde(rename = "detail-type")]
    _detail_type: String,
}

/// Handles a producer's message: an event with an idempotency key is published here, any other is returned.
pub(crate) async fn handle(app: &App, message: &SqsMessage) -> Result<Handled, MessageError> {
    let body = message.body.as_deref().unwrap_or_default();
    let envelope: Option<Envelope<'_>> = serde_json::from_str(body).ok();
    let text = envelope.as_ref().map_or(body, |envelope| envelope.detail.get());
    let Produced { account, new, idempotency_key, trace } = read(app, text).await?;
    let attribute = message.message_attributes.get(TRACE).and_then(|attribute| attribute.string_value.as_deref());
    let trace = attribute.and_then(|text| text.parse().ok()).or(trace);
    if let Some(key) = idempotency_key {
        let parts: [&[u8]; 2] = [b"queue", text.as_bytes()];
        let publication = Publication::under_key(app, account, key, &parts, &Findings::default()).await?;
        publication.ok_or(MessageError::KeyReused)?.traced(trace).publish(app, &[new]).await?;
        return Ok(Handled::Done);
    }
    let (made_at, id) = origin(app, message, envelope.as_ref());
    Ok(Handled::Event(Event::new(account, EventId::derived(made_at, id.as_bytes()), &new).traced(trace)))
}

/// Returns the time and the id that the event's id is derived from. Both are the same each time the message is received.
fn origin<'a>(app: &App, message: &'a SqsMessage, envelope: Option<&'a Envelope<'_>>) -> (Timestamp, &'a str) {
    let sent_ms = message.attributes.get("SentTimestamp").and_then(|sent| sent.parse().ok());
    let sent_at = sent_ms.map_or_else(|| app.clock.now(), Timestamp::from_unix_ms);
    let Some(envelope) = envelope else { return (sent_at, message.message_id.as_deref().unwrap_or_default()) };
    // A producer may write any time into an envelope. With an old time, the event would have expired already.
    let is_plausible = |time: &Timestamp| (sent_at.minus(BUS_DELAY_MAX)..=sent_at.plus(CLOCK_SKEW)).contains(time);
    let time = Timestamp::parse_rfc3339(&envelope.time).ok().filter(is_plausible);
    (time.unwrap_or(sent_at), &envelope.id)
}

/// Reads an event from the JSON of a message, and checks it.
async fn read(app: &App, text: &str) -> Result<Produced, MessageError> {
    if text.len() > REQUEST_BYTES_MAX {
        let fault = Fault { pointer: String::new(), detail: format!("must have at most {REQUEST_BYTES_MAX} bytes") };
        return Err(MessageError::Input(InputError::Invalid(vec![fault])));
    }
    let mut fields = Fields::parse(text.as_bytes()).map_err(MessageError::Input)?;
    let account = fields.required("account", input::parsed::<AccountId>);
    let idempotency_key = fields.optional("idempotency_key", |raw| {
        let key = input::string(raw)?;
        let fault = format!("must have 1 to {KEY_MAX} characters");
        if (1..=KEY_MAX).contains(&key.chars().count()) { Ok(key) } else { Err(fault.into()) }
    });
    let trace = fields.optional(TRACE, |raw| Ok(input::parsed(raw).ok()));
    if let Some(name) = fields.peek("type").and_then(|raw| input::parsed::<EventType>(raw).ok()) {
        check_type(app, &mut fields, &name).await?;
    }
    let new = input::new_event(&mut fields);
    let produced = fields.finish(|| {
        let (idempotency_key, trace) = (idempotency_key?, trace?.flatten());
        Ok(Produced { account: account?, new: new?, idempotency_key, trace })
    });
    produced.map_err(MessageError::Input)
}

/// Checks that the catalogue has the type, and that the event fits its schema.
async fn check_type(app: &App, fields: &mut Fields, name: &EventType) -> Result<(), MessageError> {
    let Some(known) = event_types::known(&app.store, name).await? else {
        fields.fault("/type", "is not a known event type");
        return Ok(());
    };
    let object = input::peek_object(fields);
    let (Some(judge), Some(object)) = (known.judge, object) else { return Ok(()) };
    let judgement = judging::judge(&judge, name, &object);
    if judgement.is_refused {
        for Fault { pointer, detail } in judgement.faults {
            fields.fault(format_args!("{}{pointer}", input::OBJECT_POINTER), detail);
        }
    } else if !judgement.faults.is_empty() {
        tracing::warn!(event_type = name.as_str(), faults = ?judgement.faults, "an event does not fit its schema");
    }
    Ok(())
}
