//! Events of producers inside AWS, which need no API: they put them on the queue, or on an EventBridge bus with a rule to it.
//!
//! A message is a body of `POST /v1/events` with the `account` beside it, and optionally the producer's own
//! `idempotency_key`: `{"account", "type", "data": {"object": {…}}, "previous_data"?, "idempotency_key"?}`. On a bus it is the
//! `detail`, and the queue gets EventBridge's envelope around it.
//!
//! A message that comes twice is one event: its id follows from the message's own id, on a bus from the envelope's, which
//! stay the same. A producer that sends twice is told by the idempotency key alone, as at the API.

use crate::MessageError;
use aws_lambda_events::sqs::SqsMessage;
use hookline::{
    app::App,
    event::{Event, NewEvent, REQUEST_BYTES_MAX},
    event_type::UnknownTypes,
    id::{AccountId, EventId},
    input::{self, Fault, Fields, InputError},
    publishing::Publication,
    store::{event_types, idempotency::KEY_MAX},
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// How long EventBridge goes on trying to hand an event over.
const BUS_DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How far a bus's clock may be ahead of the queue's.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// What a producer says.
struct Said {
    account: AccountId,
    new: NewEvent,
    idempotency_key: Option<String>,
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

/// The event of a producer's message; none where it has a key of its own, under which it is published here.
pub(crate) async fn event(app: &App, message: &SqsMessage) -> Result<Option<Event>, MessageError> {
    let body = message.body.as_deref().unwrap_or_default();
    let envelope: Option<Envelope<'_>> = serde_json::from_str(body).ok();
    let text = envelope.as_ref().map_or(body, |envelope| envelope.detail.get());
    let Said { account, new, idempotency_key } = read(app, text).await?;
    if let Some(key) = idempotency_key {
        let parts: [&[u8]; 2] = [b"queue", text.as_bytes()];
        let publication = Publication::under_key(app, account, key, &parts, &UnknownTypes::default()).await?;
        publication.ok_or(MessageError::KeyReused)?.publish(app, &[new]).await?;
        return Ok(None);
    }
    let (made_at, id) = origin(app, message, envelope.as_ref());
    Ok(Some(Event::new(account, EventId::derived(made_at, id.as_bytes()), &new)))
}

/// When the message was made, and its id: the same each time that it comes.
fn origin<'a>(app: &App, message: &'a SqsMessage, envelope: Option<&'a Envelope<'_>>) -> (Timestamp, &'a str) {
    let sent_ms = message.attributes.get("SentTimestamp").and_then(|sent| sent.parse().ok());
    let sent_at = sent_ms.map_or_else(|| app.clock.now(), Timestamp::from_unix_ms);
    let Some(envelope) = envelope else { return (sent_at, message.message_id.as_deref().unwrap_or_default()) };
    // A producer may write any time into an envelope: one that cannot be would make an event that has expired already.
    let can_be = |time: &Timestamp| (sent_at.minus(BUS_DELAY_MAX)..=sent_at.plus(CLOCK_SKEW)).contains(time);
    let time = Timestamp::parse_rfc3339(&envelope.time).ok().filter(can_be);
    (time.unwrap_or(sent_at), &envelope.id)
}

async fn read(app: &App, text: &str) -> Result<Said, MessageError> {
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
    let new = input::new_event(&mut fields);
    if let Some(new) = &new
        && !event_types::is_known(app, &new.event_type).await?
    {
        fields.fault("/type", "is not a known event type");
    }
    fields.finish().map_err(MessageError::Input)?;
    // What finishes without a fault has both.
    let (account, new) = account.zip(new).ok_or(MessageError::Input(InputError::Invalid(vec![])))?;
    Ok(Said { account, new, idempotency_key })
}
