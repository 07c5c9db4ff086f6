//! The JSON Schema (2020-12) of an event type's `data.object`, and how events are judged by it.
//!
//! | file | holds |
//! |---|---|
//! | `subschemas.rs` | the parts of a schema, and what its references point to |
//! | `patterns.rs` | which regular expressions are accepted |
//! | `bounds.rs` | how much work a schema can cause |
//! | `faults.rs` | what a validator found, as faults with pointers |
//!
//! A schema is read once, when a platform adds its event type, and is then known to be valid. Nothing is ever fetched for it.
//! `format` and the `content…` keywords are annotations, as the standard says.

mod bounds;
mod faults;
mod patterns;
mod subschemas;

use crate::input::{Fault, Faults, depth};
use boon::{CompileError, Compiler, Draft, SchemaIndex, Schemas, UrlLoader};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::{fmt, str::FromStr, sync::OnceLock};
use subschemas::{Subschemas, values};

/// The most bytes of a schema.
pub const SCHEMA_BYTES_MAX: usize = 32 * 1024;
/// The deepest nesting of a schema.
const SCHEMA_DEPTH_MAX: usize = 40;
/// The most steps that judging one object may take: these, and as many for each of its bytes. So a batch takes seconds at most,
/// whether its events are few and large or many and small.
const STEPS_MAX: u64 = 200_000;
const STEPS_PER_BYTE_MAX: u64 = 16;
/// The most bytes of the faults of one event or schema. A batch has a hundred events, whose faults an item of the table must hold.
const FAULT_BYTES_MAX: usize = 2_000;
/// The most faults of one event or schema.
const FAULTS_MAX: usize = 20;
/// The most characters of a version.
pub const VERSION_MAX: usize = 64;
/// The URI by which the validator knows the schema, and that of a schema without an `$id`. Nothing is ever fetched from it.
const OWN_URI: &str = "json-schema:///";

/// A valid schema, as the platform wrote it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Schema(Box<RawValue>);

impl Schema {
    /// Reads a schema.
    pub fn parse(raw: &RawValue) -> Result<Self, Faults> {
        let text = raw.get();
        if !text.starts_with('{') {
            return Err("must be a JSON object".into());
        }
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(format!("must have at most {SCHEMA_BYTES_MAX} bytes").into());
        }
        if depth(text) > SCHEMA_DEPTH_MAX {
            return Err(format!("must not be nested deeper than {SCHEMA_DEPTH_MAX} levels").into());
        }
        Validator::compile(text)?;
        Ok(Self(raw.to_owned()))
    }

    /// Restores a schema from its stored text.
    pub fn stored(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// Returns the schema's JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Returns what does not fit in one object.
    pub fn faults(&self, object: &RawValue) -> Faults {
        Validator::compile(self.as_str()).map_or_else(|faults| faults, |validator| validator.faults(object).into())
    }
}

/// What happens to an event that does not fit the schema of its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// It is published. Events are not judged.
    #[default]
    Off,
    /// It is published, and the answer has warnings.
    Warn,
    /// It is refused.
    Enforce,
}

impl FromStr for Validation {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "enforce" => Ok(Self::Enforce),
            _ => Err("must be 'off', 'warn' or 'enforce'"),
        }
    }
}

/// The platform's name for a version of an event type, such as `2` or `2025-02-18`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl TryFrom<String> for Version {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let is_visible = |character: char| !character.is_control();
        if (1..=VERSION_MAX).contains(&text.chars().count()) && text.chars().all(is_visible) {
            Ok(Self(text))
        } else {
            Err(format!("must have 1 to {VERSION_MAX} characters, none of them a control character"))
        }
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Judges the events of one type. The schema is compiled when the first event is judged.
pub struct Judge {
    validation: Validation,
    schema: Schema,
    validator: OnceLock<Result<Validator, Faults>>,
}

impl Judge {
    /// Creates the judge of a type, or returns `None` if events of the type are not judged.
    pub fn new(validation: Validation, schema: Schema) -> Option<Self> {
        (validation != Validation::Off).then(|| Self { validation, schema, validator: OnceLock::new() })
    }

    /// Whether `other` judges in the same way.
    pub fn is_same(&self, other: &Self) -> bool {
        self.validation == other.validation && self.schema.as_str() == other.schema.as_str()
    }

    /// Returns how many bytes the schema has.
    pub fn schema_len(&self) -> usize {
        self.schema.as_str().len()
    }

    /// Judges the object of an event. The pointers are relative to the object. Fails if the schema was accepted by a version
    /// whose rules were different.
    pub fn judge(&self, object: &RawValue) -> Result<Judgement, UnusableSchema> {
        let validator = self.validator.get_or_init(|| Validator::compile(self.schema.as_str()));
        let validator = validator.as_ref().map_err(|_| UnusableSchema)?;
        Ok(Judgement { is_refused: self.validation == Validation::Enforce, faults: validator.faults(object) })
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("validation", &self.validation).finish_non_exhaustive()
    }
}

/// A stored schema cannot be used any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the stored schema of an event type cannot be used")]
pub struct UnusableSchema;

/// What the schema of its type says about an event's object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Whether the event is refused if it has faults.
    pub is_refused: bool,
    /// What does not fit, at most some 20 values, with pointers relative to the object.
    pub faults: Vec<Fault>,
}

/// A compiled schema.
struct Validator {
    schemas: Schemas,
    root: SchemaIndex,
    /// The most steps that judging one value takes.
    steps: u64,
}

impl Validator {
    /// Compiles a schema.
    fn compile(text: &str) -> Result<Self, Faults> {
        let schema: Value = serde_json::from_str(text).map_err(|error| Faults::from(unreadable(&error)))?;
        let subschemas = Subschemas::of(&schema)?;
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.use_loader(Box::new(Offline));
        compiler.add_resource(OWN_URI, schema).map_err(|error| of_compiler(&error))?;
        let mut schemas = Schemas::new();
        let root = compiler.compile(OWN_URI, &mut schemas).map_err(|error| of_compiler(&error))?;
        let steps = bounds::steps(&subschemas)?;
        Ok(Self { schemas, root, steps })
    }

    /// Returns what does not fit in `object`.
    fn faults(&self, object: &RawValue) -> Vec<Fault> {
        let steps_max = STEPS_MAX + STEPS_PER_BYTE_MAX * object.get().len() as u64;
        let of_object = |detail: String| vec![Fault { pointer: String::new(), detail }];
        let object: Value = match serde_json::from_str(object.get()) {
            Ok(object) => object,
            Err(error) => return of_object(unreadable(&error)),
        };
        if values(&object).saturating_mul(self.steps) > steps_max {
            return of_object("has too many values to be judged by its schema".to_owned());
        }
        match self.schemas.validate(&object, self.root) {
            Ok(()) => vec![],
            Err(error) => within_bounds(faults::faults(&error)),
        }
    }
}

/// Fetches nothing.
struct Offline;

impl UrlLoader for Offline {
    fn load(&self, _: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err("other documents are never fetched".into())
    }
}

/// Returns why a text that is JSON cannot be judged: a number is too large, or an escape is half of a character.
fn unreadable(error: &serde_json::Error) -> String {
    format!("cannot be judged: {error}")
}

/// Returns the faults of a schema that cannot be compiled.
fn of_compiler(error: &CompileError) -> Faults {
    match error {
        CompileError::ValidationError { src, .. } => within_bounds(faults::faults(src)).into(),
        error => error.to_string().into(),
    }
}

/// Keeps the first faults, without repetitions, as many as one answer and one stored item may have.
fn within_bounds(faults: Vec<Fault>) -> Vec<Fault> {
    let (mut kept, mut bytes): (Vec<Fault>, usize) = (vec![], 0);
    for fault in faults {
        bytes += fault.pointer.len() + fault.detail.len();
        if kept.len() == FAULTS_MAX || (bytes > FAULT_BYTES_MAX && !kept.is_empty()) {
            break;
        }
        if !kept.contains(&fault) {
            kept.push(fault);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
