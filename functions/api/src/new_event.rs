//! Reads an event to publish, with what the catalogue has against it. Publishing and dry runs read it here.

use crate::problem::Problem;
use application::{App, judging};
use domain::{
    event::NewEvent,
    event_type::EventType,
    findings::Findings,
    input::{self, Fault, Faulted, Fields, OBJECT_POINTER},
    schema::Judgement,
};
use store::event_types::{self, Types};

/// Looks up the type of one event, and returns what the catalogue has against the event.
pub(crate) async fn findings(app: &App, fields: &Fields) -> Result<Findings, Problem> {
    let types = event_types::look_up(&app.store, event_type(fields).into_iter().collect()).await?;
    Ok(Findings::new(types.unknown.clone(), [judge(&types, fields)]))
}

/// Returns the event's type, if it is well-formed, without reading the field.
pub(crate) fn event_type(fields: &Fields) -> Option<EventType> {
    fields.peek("type").and_then(|raw| input::parsed(raw).ok())
}

/// Judges the object of an event by the schema of its type. An object or a type that is malformed is not judged.
pub(crate) fn judge(types: &Types, fields: &Fields) -> Judgement {
    let judged = event_type(fields).and_then(|name| {
        let judge = types.judges.get(&name)?;
        Some(judging::judge(judge, &name, &input::peek_object(fields)?))
    });
    judged.unwrap_or_default()
}

/// Reads the event at `index` of a request. `findings` are what the catalogue has against the events.
pub(crate) fn read(mut fields: Fields, index: usize, findings: &Findings) -> Result<NewEvent, Problem> {
    let new = take(&mut fields, index, findings);
    Ok(fields.finish(|| new)?)
}

/// Takes the fields of the event at `index` of a request from `fields`, which may have others.
pub(crate) fn take(fields: &mut Fields, index: usize, findings: &Findings) -> Result<NewEvent, Faulted> {
    // What the catalogue has against the event is reported together with all other faults.
    if let Some(detail) = event_type(fields).as_ref().and_then(|name| findings.unknown_types.fault(name)) {
        fields.fault("/type", detail);
    }
    for Fault { pointer, detail } in findings.faults(index) {
        fields.fault(format_args!("{OBJECT_POINTER}{pointer}"), detail);
    }
    input::new_event(fields)
}
