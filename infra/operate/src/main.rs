//! `cargo run -p operate`: what an operator does to a deployed stack, with the operator's own AWS credentials.
//!
//! The stack is found by its name alone: its settings are those of its `api` function, and what reads and writes its tables
//! is the code that the functions run.

mod history;
mod redrive;
mod stack;
mod stalled;
mod token;

use clap::{Parser, Subcommand};
use hookline::id::{AccountId, DeliveryId};
use redrive::Queue;

/// What an operator does to a deployed stack. Credentials and region come from where the AWS CLI takes them.
#[derive(Debug, Parser)]
#[command(name = "operate", version)]
struct Options {
    /// Name of the CloudFormation stack.
    #[arg(long, env = "HOOKLINE_STACK", default_value = "hookline")]
    stack: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a platform token and prints it, this once.
    Token {
        /// Whose it is, for the list of tokens.
        #[arg(long, default_value = "made by the operator")]
        description: String,
    },
    /// Moves the dead letters of a queue back to it.
    Redrive {
        /// Which queue.
        queue: Queue,
        /// Print them, and leave them where they are.
        #[arg(long)]
        dry_run: bool,
    },
    /// Prints all that is known of a delivery, as JSON.
    History {
        /// Whose delivery it is.
        #[arg(long)]
        account: AccountId,
        /// `dlv_…`
        delivery: DeliveryId,
    },
    /// Prints the deliveries that stand still, a line each: account, delivery, why, and for how long.
    Stalled {
        /// Look at this account alone.
        #[arg(long)]
        account: Option<AccountId>,
        /// Put the task of each on the queue again. Where it is there already, that does no harm.
        #[arg(long)]
        enqueue: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let app = stack::find(&options.stack).await?;
    match options.command {
        Command::Token { description } => token::make(&app, description).await,
        Command::Redrive { queue, dry_run } => redrive::redrive(&app, queue, dry_run).await,
        Command::History { account, delivery } => Box::pin(history::print(&app, &account, delivery)).await,
        Command::Stalled { account, enqueue } => {
            let request = stalled::Request { account, enqueue };
            let summary = Box::pin(stalled::find(&app, &request, &mut std::io::stdout())).await?;
            eprintln!("{summary}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }
}
