//! Hookline on one machine: every function in one process, on the embedded AWS.
//!
//! The handlers are those that Lambda runs. This crate creates their tables and queues, invokes them and listens for requests.
//! Nothing here knows how a delivery works.
//!
//! | file | holds |
//! |---|---|
//! | `options.rs` | the command line and the environment variables |
//! | `address.rs` | the address to listen on |
//! | `greeting.rs` | the first screen |
//! | `logs.rs` | the form and the level of log lines |
//! | `text_lines.rs` | log lines as text for people |
//! | `attempt_lines.rs` | the line of an attempt |
//! | `style.rs` | colours |
//! | `closing.rs` | the signals, and the wait for what is under way |
//! | `provision.rs` | the tables and queues, as `template.yaml` creates them in AWS |
//! | `pollers.rs` | the stand-ins for Lambda's event source mappings and EventBridge Scheduler |
//! | `listener.rs` | the HTTP listener of the API |
//! | `local_token.rs` | the API token that the process prints |
//! | `descriptors.rs` | the limit of open files, and its shares |

mod address;
mod attempt_lines;
mod closing;
mod descriptors;
mod greeting;
mod listener;
mod local_token;
mod logs;
mod options;
pub mod pollers;
pub mod provision;
mod style;
mod text_lines;

use application::{App, config::Config};
use closing::Signals;
use deliver::Deliverer;
use domain::{brand::Brand, endpoint_policy::EndpointPolicy, random::Random, time::Clock};
use embedded_aws::{EmbeddedAws, Watch};
use endpoint::EndpointClient;
use greeting::Credentials;
use options::Options;
use std::process::ExitCode;
use store::QueueSettings;
use text_lines::harmless;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The most batches of the deliveries queue under way at once.
const DELIVER_CONCURRENCY: usize = 512;
/// The most batches of the slow deliveries queue under way at once.
const SLOW_DELIVER_CONCURRENCY: usize = 128;
/// The most batches of the events queue under way at once.
const PUBLISH_CONCURRENCY: usize = 16;

/// The program: runs Hookline with the options of the command line until Ctrl-C or SIGTERM. `watch` is called with each request
/// to the embedded AWS.
pub async fn main(watch: Option<Watch>) -> ExitCode {
    let options = Options::read();
    logs::start(options.log_format, options.log_level.clone());
    match run(options, watch).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Print one line with every cause and no backtrace, because the user can fix what fails here.
            eprintln!("error: {}", harmless(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Runs Hookline until Ctrl-C or SIGTERM.
///
/// # Errors
/// The data folder cannot be opened, or the address is in use.
async fn run(options: Options, watch: Option<Watch>) -> anyhow::Result<()> {
    // First of all, so that a start without its address touches no data.
    let listener = address::bind(options.listen).await?;
    let share = descriptors::divide();
    let clock = Clock::system();
    let data = options.data_folder();
    let aws = EmbeddedAws::open_watched(data, clock.clone(), watch)?;
    let policy = if options.strict_endpoints { EndpointPolicy::Strict } else { EndpointPolicy::AllowLoopback };
    let config = Config {
        cors_allow_origins: options.cors_allow_origins.clone(),
        brand: Brand { name: options.portal_name.clone(), accent: options.portal_accent.clone() },
        frame_ancestors: options.portal_frame_ancestors.clone(),
        trial_schedule: options.trial_schedule.clone(),
        ..provision::config(&aws, options.retry_schedule.clone(), policy)
    };
    provision::provision(&aws, &config).await?;
    let app = App::new(aws.clients(), config, clock, Random::system());
    let token = local_token::ensure(&app, options.token.clone(), data).await?;
    let endpoints = EndpointClient::bounded(policy, share.endpoints)?;
    // Listen for signals before printing: whoever has read the first line may already send one.
    let mut signals = Signals::listen()?;
    let portal_code = local_token::portal_code(&app).await?;
    greeting::print(&options, listener.local_addr()?, &Credentials { token, portal_code })?;

    let stop = CancellationToken::new();
    let mut tasks = start_pollers(&app, &aws, endpoints.clone(), &stop);
    let listener = listener::Bounded::new(listener, share.api_connections);
    let checked = aws.clone();
    let router = api::router_with(app, |routes| listener::durable(routes, aws));
    tasks.spawn(listener::serve(listener, router, stop.clone()));
    let damaged = tokio::select! {
        () = signals.next() => None,
        Err(error) = checked.checked() => Some(error),
    };
    stop.cancel();
    if let Some(error) = damaged {
        return Err(error);
    }
    closing::wait(tasks, &mut signals, || endpoints.under_way(), data.is_some()).await;
    Ok(())
}

fn start_pollers(app: &App, aws: &EmbeddedAws, endpoints: EndpointClient, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let deliverer = Deliverer::new(app.clone(), endpoints);
    let deliver = move |event| {
        let deliverer = deliverer.clone();
        async move { deliver::handle(&deliverer, event).await }
    };
    let publisher = app.clone();
    let publish = move |event| {
        let app = publisher.clone();
        async move { publish::handle(&app, event).await }
    };
    let QueueSettings { deliveries_url, slow_deliveries_url, events_url, .. } = app.queues.settings.clone();
    for (queue_url, concurrency) in
        [(deliveries_url, DELIVER_CONCURRENCY), (slow_deliveries_url, SLOW_DELIVER_CONCURRENCY)]
    {
        tasks.spawn(pollers::poll_queue(app.clone(), queue_url, concurrency, stop.clone(), deliver.clone()));
    }
    tasks.spawn(pollers::poll_queue(app.clone(), events_url, PUBLISH_CONCURRENCY, stop.clone(), publish));
    tasks.spawn(pollers::poll_schedules(app.clone(), aws.clone(), stop.clone()));
    tasks.spawn(pollers::sweep(aws.clone(), stop.clone()));
    tasks.spawn(pollers::flush(aws.clone(), stop.clone()));
    tasks
}
