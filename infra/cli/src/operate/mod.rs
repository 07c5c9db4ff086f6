//! `hookline operate`: the operator's commands on a deployed stack. They use the operator's own AWS credentials.
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

use crate::usage::UsageError;
use clap::{Args, Subcommand};
use domain::{account::AccountId, id::DeliveryId};
use redrive::Queue;

/// The operator's commands on a deployed stack. AWS credentials and region come from where the AWS CLI takes them.
#[derive(Debug, Args)]
pub(crate) struct Operate {
    /// Name of the CloudFormation stack.
    #[arg(long, global = true, env = "HOOKLINE_STACK", default_value = "hookline")]
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
    /// Print everything that is known about a delivery of the account that --account names, as JSON.
    History {
        /// The delivery's id, `dlv_…`.
        delivery: DeliveryId,
    },
    /// Print the stalled deliveries of all accounts, or of the one that --account names.
    ///
    /// One a line: account, delivery, reason, and for how long.
    Stalled {
        /// Put the task of each on the queue again. This does no harm if the task still exists.
        #[arg(long)]
        enqueue: bool,
    },
}

impl Operate {
    /// Runs the command. `account` is the one that `--account` names.
    pub(crate) async fn run(self, account: Option<AccountId>) -> anyhow::Result<()> {
        let Self { stack, command } = self;
        let app = async || Box::pin(stack::find(&stack)).await;
        match command {
            Command::Token { description } => token::create(&app().await?, description).await,
            Command::Redrive { queue, dry_run } => redrive::redrive(&app().await?, queue, dry_run).await,
            Command::History { delivery } => {
                let account =
                    account.ok_or_else(|| UsageError::new("name the account of the delivery with --account"))?;
                Box::pin(history::print(&app().await?, &account, delivery)).await
            }
            Command::Stalled { enqueue } => {
                let request = stalled::Request { account, enqueue };
                let summary = Box::pin(stalled::find(&app().await?, &request, &mut std::io::stdout())).await?;
                eprintln!("{summary}");
                Ok(())
            }
        }
    }
}
