//! `cargo run -p operate`: the operator's commands on a deployed stack. They use the operator's own AWS credentials.
//!
//! The name of the stack is enough to find it: the commands read its settings from its `api` function. They read and write its
//! tables and queues with the code that the functions run.
//!
//! | file | holds |
//! |---|---|
//! | `stack.rs` | the search for the stack's settings |
//! | `token.rs` | `token`: the first platform token |
//! | `redrive.rs` | `redrive`: dead letters move back to their queue |
//! | `history.rs` | `history`: everything about one delivery |
//! | `stalled/` | `stalled`: deliveries that no task will attempt |

mod history;
mod redrive;
mod stack;
mod stalled;
mod token;

use clap::{Parser, Subcommand};
use domain::{account::AccountId, id::DeliveryId};
use redrive::Queue;

/// The operator's commands on a deployed stack. AWS credentials and region come from where the AWS CLI takes them.
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
    /// Create a platform token and print it. It cannot be printed again.
    Token {
        /// Whose token it is; the list of tokens shows this.
        #[arg(long, default_value = "created by the operator")]
        description: String,
    },
    /// Move the dead letters of a queue back to it.
    Redrive {
        /// The queue.
        queue: Queue,
        /// Print the dead letters, and do not move them.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print everything that is known about a delivery, as JSON.
    History {
        /// The account of the delivery.
        #[arg(long)]
        account: AccountId,
        /// The delivery's id, `dlv_…`.
        delivery: DeliveryId,
    },
    /// Print the stalled deliveries, one a line: account, delivery, reason, and for how long.
    Stalled {
        /// Search this account only.
        #[arg(long)]
        account: Option<AccountId>,
        /// Put the task of each on the queue again. This does no harm if the task still exists.
        #[arg(long)]
        enqueue: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let app = stack::find(&options.stack).await?;
    match options.command {
        Command::Token { description } => token::create(&app, description).await,
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
    fn the_command_line_is_valid() {
        Options::command().debug_assert();
    }
}
