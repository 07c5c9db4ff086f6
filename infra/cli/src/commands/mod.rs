//! The commands, one file a resource.

mod completions;
mod deliveries;
mod demo;
mod event_types;
mod events;
mod listen;
mod listing;
mod login;
mod portal;
mod progress;
mod status;
mod tail;
mod tokens;
mod trigger;
mod verify;
mod webhooks;

use crate::{
    client::Client,
    connection::{Connection, Given},
    operate,
    options::Options,
    output::Output,
};
use clap::Subcommand;
use clap_complete::Shell;
use domain::random::Random;
use std::{io, process::ExitCode};
use tokio::runtime::{Builder, Runtime};

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Online(Online),
    /// Say whether the signatures of a saved request hold and, if not, why. Works offline with --secret.
    Verify(verify::Verify),
    /// Store the URL of an API and a token for it.
    ///
    /// Asks for what is not given by options. A script gives the token with --token, or on stdin.
    Login,
    /// Remove what `hookline login` stored.
    Logout,
    /// Print the completions for a shell.
    ///
    /// For bash: source <(hookline completions bash)
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// The operator's commands on a deployed stack, with AWS credentials.
    Operate(operate::Operate),
}

/// A command that talks to the API.
#[derive(Debug, Subcommand)]
pub(crate) enum Online {
    /// Publish the sample of an event type, or your own data, once or many times.
    Trigger(trigger::Trigger),
    /// Show a delivery arrive, fail, be retried and be recovered, on a receiver of its own.
    Demo,
    /// Forward events to a local receiver, without a tunnel.
    Listen(listen::Listen),
    /// Follow the newest events and their deliveries, live.
    Tail(tail::Tail),
    /// List, register, change, test and recover webhooks.
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Publish, list and read events.
    #[command(subcommand)]
    Events(events::Events),
    /// List, read, retry and cancel deliveries.
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// List the catalogue of event types, add and remove types.
    #[command(subcommand)]
    EventTypes(event_types::EventTypes),
    /// List, issue and revoke account tokens. Needs the scope platform.
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// Make a link to the portal, and open it in the browser.
    Portal(portal::Portal),
    /// Show which API is used, with which token, and whether it answers.
    Status,
    /// Print the API's description (OpenAPI 3.1).
    Openapi,
}

/// What a command that talks to the API needs.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) connection: Connection,
    /// What the connection was chosen from.
    pub(crate) given: Given,
    pub(crate) out: Output,
}

/// Runs a command. Starts the async runtime and TLS only for a command that needs them.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    let Options { global, command } = options;
    let out = Output::new(global.json);
    match command {
        Command::Online(command) => online(global.given(), out, async |session| command.run(session).await),
        Command::Verify(verify) if verify.is_offline() => verify.run_offline(out),
        Command::Verify(verify) => online(global.given(), out, async |session| verify.run_online(session).await),
        Command::Login => login::log_in(global.given(), out),
        Command::Logout => login::log_out(out),
        Command::Completions { shell } => completions::print(shell, out),
        Command::Operate(operate) => {
            runtime()?.block_on(operate.run(global.account))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Connects to the API, and runs a command with the session.
fn online(
    given: Given,
    out: Output,
    command: impl AsyncFnOnce(&Session) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let connection = Connection::choose(given.clone())?;
    runtime()?.block_on(async {
        let client = Client::new(&connection)?;
        command(&Session { client, connection, given, out }).await
    })
}

/// The async runtime of one command.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

impl Online {
    async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        match self {
            Self::Trigger(command) => command.run(session).await,
            Self::Demo => demo::run(session).await,
            Self::Listen(command) => command.run(session).await,
            Self::Tail(command) => command.run(session).await,
            Self::Webhooks(command) => command.run(session).await,
            Self::Events(command) => command.run(session).await,
            Self::Deliveries(command) => command.run(session).await,
            Self::EventTypes(command) => command.run(session).await,
            Self::Tokens(command) => command.run(session).await,
            Self::Portal(command) => command.run(session).await,
            Self::Status => status::show(session).await,
            Self::Openapi => status::openapi(session).await,
        }
    }
}

/// A new idempotency key, so that a request may be sent again after its answer was lost.
fn idempotency_key() -> String {
    hex::encode(Random::system().bytes::<16>())
}
