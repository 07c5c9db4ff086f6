//! What a validator found, as faults with pointers. No detail repeats a value of the judged document: faults are logged.

use crate::input::{Fault, pointer};
use boon::{ErrorKind, InstanceToken, ValidationError};
use serde_json::Value;

/// The most bytes of a pointer. A longer one is cut to an ancestor of the value.
const POINTER_BYTES_MAX: usize = 500;
/// The most characters of a schema's value that a detail repeats.
const SHOWN_MAX: usize = 200;

/// Returns the faults that `error` consists of, one for each value that breaks a rule.
pub(super) fn faults(error: &ValidationError<'_, '_>) -> Vec<Fault> {
    let at = location(error);
    let fault = |pointer: &str, detail: String| Fault { pointer: within_bounds(pointer), detail };
    let of_member = |name: &str, detail: String| fault(&format!("{at}{}", pointer(name)), detail);
    match &error.kind {
        ErrorKind::Group
        | ErrorKind::Schema { .. }
        | ErrorKind::Reference { .. }
        | ErrorKind::ContentSchema
        | ErrorKind::AllOf => error.causes.iter().flat_map(faults).collect(),
        ErrorKind::Required { want } => want.iter().map(|name| of_member(name, "is required".to_owned())).collect(),
        ErrorKind::DependentRequired { prop, missing } | ErrorKind::Dependency { prop, missing } => {
            let detail = format!("is required beside '{}'", shown(prop));
            missing.iter().map(|name| of_member(name, detail.clone())).collect()
        }
        ErrorKind::AdditionalProperties { got } => {
            got.iter().map(|name| of_member(name, "is not a known field".to_owned())).collect()
        }
        ErrorKind::PropertyName { prop } => vec![of_member(prop, "is not an allowed name".to_owned())],
        ErrorKind::AnyOf => vec![fault(&at, any_of(&at, &error.causes))],
        kind => vec![fault(&at, detail(kind))],
    }
}

/// Returns what is wrong with a value that fits none of some schemas.
fn any_of(at: &str, causes: &[ValidationError<'_, '_>]) -> String {
    let faults: Vec<_> = causes.iter().flat_map(faults).collect();
    let are_about_it = faults.iter().all(|fault| fault.pointer == at);
    let details: Vec<_> = faults.into_iter().map(|fault| fault.detail).collect();
    let joined = details.join(", or ");
    if are_about_it && joined.len() <= SHOWN_MAX { joined } else { "must fit one of the schemas of anyOf".to_owned() }
}

/// Returns what is wrong with the value itself.
fn detail(kind: &ErrorKind<'_, '_>) -> String {
    match kind {
        ErrorKind::Type { want, .. } => {
            let types: Vec<_> = want.iter().map(|kind| kind.to_string()).collect();
            format!("must be of type {}", types.join(" or "))
        }
        ErrorKind::Enum { want } => {
            let values: Vec<_> = want.iter().map(Value::to_string).collect();
            format!("must be one of {}", shown(&values.join(", ")))
        }
        ErrorKind::Const { want } => format!("must be {}", shown(&want.to_string())),
        ErrorKind::MinProperties { want, .. } => format!("must have at least {want} members"),
        ErrorKind::MaxProperties { want, .. } => format!("must have at most {want} members"),
        ErrorKind::MinItems { want, .. } => format!("must have at least {want} entries"),
        ErrorKind::MaxItems { want, .. } => format!("must have at most {want} entries"),
        ErrorKind::AdditionalItems { .. } => "has too many entries".to_owned(),
        ErrorKind::UniqueItems { got: [one, other] } => format!("has equal entries at {one} and {other}"),
        ErrorKind::Contains => "must have an entry that fits the schema of contains".to_owned(),
        ErrorKind::MinContains { want, .. } => format!("must have at least {want} entries that fit contains"),
        ErrorKind::MaxContains { want, .. } => format!("must have at most {want} entries that fit contains"),
        ErrorKind::MinLength { want, .. } => format!("must have at least {want} characters"),
        ErrorKind::MaxLength { want, .. } => format!("must have at most {want} characters"),
        ErrorKind::Pattern { want, .. } => format!("must match the pattern {}", shown(want)),
        ErrorKind::Minimum { want, .. } => format!("must be at least {want}"),
        ErrorKind::Maximum { want, .. } => format!("must be at most {want}"),
        ErrorKind::ExclusiveMinimum { want, .. } => format!("must be greater than {want}"),
        ErrorKind::ExclusiveMaximum { want, .. } => format!("must be less than {want}"),
        ErrorKind::MultipleOf { want, .. } => format!("must be a multiple of {want}"),
        ErrorKind::FalseSchema => "is not allowed".to_owned(),
        ErrorKind::Not => "must not fit the schema of not".to_owned(),
        ErrorKind::OneOf(None) => "must fit one of the schemas of oneOf".to_owned(),
        ErrorKind::OneOf(Some((one, other))) => {
            format!("must fit only one of the schemas of oneOf, but fits those at {one} and {other}")
        }
        _ => "does not fit the schema".to_owned(),
    }
}

/// Returns the pointer to the value that an error is about.
fn location(error: &ValidationError<'_, '_>) -> String {
    let tokens = error.instance_location.tokens.iter().map(|token| match token {
        InstanceToken::Prop(name) => pointer(name),
        InstanceToken::Item(index) => format!("/{index}"),
    });
    tokens.collect()
}

/// Cuts a pointer that is too long to one of its ancestors.
fn within_bounds(pointer: &str) -> String {
    let mut pointer = pointer;
    while pointer.len() > POINTER_BYTES_MAX {
        pointer = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    pointer.to_owned()
}

/// Cuts a text of a schema that is too long to be repeated.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
