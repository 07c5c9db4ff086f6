//! `hookline trigger`: publishes a sample of the catalogue, or own data, once or many times.

mod latencies;
mod load;

use super::{Session, events::print_published, idempotency_key};
use crate::{
    arguments::JsonArgument,
    client::{
        event_types::EventType,
        events::{NewEvent, NewEventData},
    },
    event_data,
    output::text::visible,
    usage::UsageError,
};
use clap::Args;
use domain::event_type::EventType as Name;
use std::{num::NonZeroU32, process::ExitCode};

/// How alike a name must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.85;
/// The most names that are suggested.
const SUGGESTED: usize = 3;
/// The most names that are listed.
const NAMES_SHOWN: usize = 20;

/// What to publish.
#[derive(Debug, Args)]
pub(crate) struct Trigger {
    /// The event's type, such as resource.created.
    event_type: Name,
    /// The event's object (data.object) instead of the sample: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    data: Option<JsonArgument>,
    /// The values that an update replaced, instead of the sample's: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    previous: Option<JsonArgument>,
    /// How many events to publish, up to 1,000,000. Many go in batches of up to 100.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// The most events a second; without it, as many as the API takes.
    #[arg(long, value_name = "R")]
    rate: Option<NonZeroU32>,
}

impl Trigger {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let (count, rate) = (self.count, self.rate);
        let event = self.event(session).await?;
        if count > 1 {
            return load::publish(session, event, count, rate).await;
        }
        let answer = session.client.publish_event(&event, &idempotency_key()).await?;
        session.out.answer(&answer, |out, published| {
            print_published(out, published)?;
            out.line(&format!("`hookline events get {}` shows its deliveries", visible(&published.event.id)))
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// The event: what was given, and the sample for the rest.
    async fn event(self, session: &Session) -> anyhow::Result<NewEvent> {
        let data = self.data.map(|data| data.read("--data")).transpose()?.map(event_data::of);
        let previous = self.previous.map(|previous| previous.read("--previous")).transpose()?;
        let catalogue = session.client.list_event_types().await?.value.data;
        let name = self.event_type.as_str();
        let names: Vec<_> = catalogue.iter().map(|known| known.name.as_str()).collect();
        let unknown = unknown(name, &names);
        let EventType { sample, .. } = catalogue.into_iter().find(|known| known.name == name).ok_or(unknown)?;
        // The previous values of the sample do not belong to other data.
        let previous_data = if data.is_some() { previous } else { previous.or(sample.previous_data) };
        let data = data.unwrap_or(NewEventData { object: sample.data.object });
        Ok(NewEvent { r#type: name.to_owned(), data, previous_data })
    }
}

/// The error for a type that the catalogue does not have, with names like it.
fn unknown(name: &str, known: &[&str]) -> UsageError {
    let mut alike: Vec<_> = known.iter().map(|known| (strsim::jaro_winkler(name, known), *known)).collect();
    alike.retain(|(likeness, _)| *likeness > ALIKE);
    alike.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    alike.truncate(SUGGESTED);
    let alike: Vec<_> = alike.into_iter().map(|(_, known)| known).collect();
    let (what, names) = if alike.is_empty() { ("The known types are", known) } else { ("Did you mean", &alike[..]) };
    let end = if alike.is_empty() { "." } else { "?" };
    let more = if names.len() > NAMES_SHOWN { " and others" } else { "" };
    let names: Vec<_> = names.iter().take(NAMES_SHOWN).map(|name| visible(name)).collect();
    UsageError::new(format!("{name} is not a type of the catalogue. {what} {}{more}{end}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_lists_near_matches_or_all_types() {
        let known = ["resource.created", "resource.updated", "user.created", "payment.failed"];
        assert_eq!(
            unknown("resource.create", &known).to_string(),
            "resource.create is not a type of the catalogue. Did you mean resource.created, resource.updated?"
        );
        assert_eq!(
            unknown("zzz.qqq", &known[2..]).to_string(),
            "zzz.qqq is not a type of the catalogue. The known types are user.created, payment.failed."
        );
    }
}
