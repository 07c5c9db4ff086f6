//! `hookline event-types`.

use super::{
    Session,
    listing::{self, PageOptions},
};
use crate::{
    arguments::JsonArgument,
    client::event_types::{EventType, NewEventType},
    output::{
        table::{Cell, Column},
        text::visible,
    },
};
use clap::{Args, Subcommand};
use domain::event_type::EventType as Name;
use std::process::ExitCode;

/// A command on the catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum EventTypes {
    /// List the catalogue.
    List,
    /// Add a type to the catalogue, or a new version of one.
    Create(Box<Create>),
    /// Remove a type from the catalogue.
    Delete {
        /// The type's name, such as order.shipped.
        name: Name,
    },
}

/// An event type to add.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The type's name, such as order.shipped.
    #[arg(required_unless_present = "body")]
    name: Option<Name>,
    /// What it means.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What a test delivery carries, {"data": {"object": {…}}}: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    sample: Option<JsonArgument>,
    /// The JSON Schema (2020-12) of its payloads: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    schema: Option<JsonArgument>,
    /// What happens to an event that does not fit the schema.
    #[arg(long, value_parser = ["off", "warn", "enforce"])]
    validation: Option<String>,
    /// Your name for this version of the type. Another version replaces the earlier one.
    #[arg(long = "type-version", value_name = "VERSION")]
    version: Option<String>,
    /// The whole body of the request instead: JSON, a file, or - for stdin.
    #[arg(
        long,
        value_name = "JSON|FILE",
        conflicts_with_all = ["name", "description", "sample", "schema", "validation", "version"]
    )]
    body: Option<JsonArgument>,
}

const COLUMNS: &[Column] = &[
    Column::whole("NAME"),
    Column::flexible("DESCRIPTION"),
    Column::whole("BUILT IN"),
    Column::whole("VALIDATION"),
    Column::whole("VERSION"),
];

impl EventTypes {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Session { client, out, .. } = session;
        match self {
            Self::List => {
                let fetch = async |_| client.list_event_types().await;
                return listing::print(*out, &PageOptions::default(), (COLUMNS, row), fetch).await;
            }
            Self::Create(create) => {
                let answer = create.send(session).await?;
                out.details(&answer)?;
            }
            Self::Delete { name } => {
                let answer = client.delete_event_type(&name).await?;
                out.answer(&answer, |out, ()| out.line(&format!("deleted {}", visible(name.as_str()))))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    async fn send(self, session: &Session) -> anyhow::Result<crate::client::Answer<EventType>> {
        let read = |option, argument: Option<JsonArgument>| argument.map(|json| json.read(option)).transpose();
        let answer = match self.name {
            Some(name) => {
                let new = NewEventType {
                    name,
                    description: self.description,
                    sample: read("--sample", self.sample)?,
                    schema: read("--schema", self.schema)?,
                    validation: self.validation,
                    version: self.version,
                };
                session.client.create_event_type(&new).await?
            }
            None => session.client.create_event_type(&read("--body", self.body)?).await?,
        };
        Ok(answer)
    }
}

fn row(event_type: &EventType) -> Vec<Cell> {
    vec![
        Cell::new(&event_type.name),
        Cell::new(&event_type.description),
        Cell::new(if event_type.built_in { "yes" } else { "no" }),
        Cell::new(&event_type.validation),
        Cell::optional(event_type.version.as_deref()),
    ]
}
