//! What the catalogue has against the events of a request: types that it lacks, and what does not fit the schemas of its types.
//!
//! The first use of an idempotency key keeps its findings, so that a repeated request gets the same answer although the catalogue
//! has changed since.

use crate::{event_type::UnknownTypes, input::Fault, schema::Judgement};
use serde::{Deserialize, Serialize};

/// What the catalogue has against the events of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The types that the catalogue lacks.
    #[serde(default, skip_serializing_if = "UnknownTypes::is_empty")]
    pub unknown_types: UnknownTypes,
    /// The judgements of the events that do not fit the schemas of their types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    judgements: Vec<OfEvent>,
}

/// The judgement of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OfEvent {
    /// The event's index in the request.
    index: usize,
    #[serde(flatten)]
    judgement: Judgement,
}

impl Findings {
    /// Creates the findings of a request from the judgement of each of its events.
    pub fn new(unknown_types: UnknownTypes, judgements: impl IntoIterator<Item = Judgement>) -> Self {
        let judgements = judgements.into_iter().enumerate().map(|(index, judgement)| OfEvent { index, judgement });
        Self { unknown_types, judgements: judgements.filter(|of| !of.judgement.faults.is_empty()).collect() }
    }

    /// Whether an event of the request is refused.
    pub fn refuse_any(&self) -> bool {
        !self.unknown_types.is_empty() || self.judgements.iter().any(|of| of.judgement.is_refused)
    }

    /// Returns the faults for which the event at `index` is refused, with pointers relative to its object.
    pub fn faults(&self, index: usize) -> &[Fault] {
        self.of(index).filter(|judgement| judgement.is_refused).map_or(&[], |judgement| &judgement.faults)
    }

    /// Returns the faults with which the event at `index` is published, with pointers relative to its object.
    pub fn warnings(&self, index: usize) -> &[Fault] {
        self.of(index).filter(|judgement| !judgement.is_refused).map_or(&[], |judgement| &judgement.faults)
    }

    fn of(&self, index: usize) -> Option<&Judgement> {
        self.judgements.iter().find(|of| of.index == index).map(|of| &of.judgement)
    }
}
