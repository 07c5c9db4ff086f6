//! Hookline on one machine: every function in one process, on the embedded AWS.
//!
//! The handlers are those that Lambda runs. This crate creates their tables and queues, invokes them and listens for requests.
//! Nothing here knows how a delivery works.
//!
//! | file | holds |
//! |---|---|
//! | `options.rs` | the command line and the environment variables |
//! | `provision.rs` | the tables and queues, as `template.yaml` creates them in AWS |
//! | `pollers.rs` | the stand-ins for Lambda's event source mappings and EventBridge Scheduler |
//! | `listener.rs` | the HTTP listener of the API |
//! | `local_token.rs` | the API token that the process prints |
//! | `descriptors.rs` | the limit of open files, and its shares |

mod descriptors;
mod listener;
mod local_token;
pub mod options;
pub mod pollers;
pub mod provision;

use anyhow::Context;
use application::App;
use deliver::Deliverer;
use descriptors::Share;
use domain::{endpoint_policy::EndpointPolicy, random::Random, time::Clock};
use embedded_aws::{EmbeddedAws, Watch};
use endpoint::EndpointClient;
use options::Options;
use std::{io::Write, net::SocketAddr, time::Duration};
use store::QueueSettings;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// The most batches of the deliveries queue under way at once.
const DELIVER_CONCURRENCY: usize = 512;
/// The most batches of the slow deliveries queue under way at once.
const SLOW_DELIVER_CONCURRENCY: usize = 128;
/// The most batches of the events queue under way at once.
const PUBLISH_CONCURRENCY: usize = 16;
/// How long the process waits, when it is asked to end, for work under way: time for an attempt and its record.
const GRACE: Duration = Duration::from_secs(8);

/// Runs Hookline until Ctrl-C or SIGTERM. `watch` is called with each request to the embedded AWS.
///
/// # Errors
/// The data folder cannot be opened, or the address is in use.
pub async fn run(options: Options, watch: Option<Watch>) -> anyhow::Result<()> {
    let share = descriptors::divide();
    let data = (!options.ephemeral).then_some(options.data.as_path());
    let clock = Clock::system();
    let aws = EmbeddedAws::open_watched(data, clock.clone(), watch)?;
    let policy = if options.strict_endpoints { EndpointPolicy::Strict } else { EndpointPolicy::AllowLoopback };
    let config = provision::config(&aws, options.retry_schedule.clone(), policy);
    provision::provision(&aws, &config).await?;
    let app = App::new(aws.clients(), config, clock, Random::system());
    let token = local_token::ensure(&app, options.token.clone(), data).await?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", options.listen))?;
    // Listen for signals before printing: whoever has read the first line may already send one.
    let signals = Signals::listen()?;
    greet(listener.local_addr()?, &token)?;

    let stop = CancellationToken::new();
    let mut tasks = start_pollers(&app, &aws, share, &stop)?;
    let listener = listener::Bounded::new(listener, share.api_connections);
    tasks.spawn(listener::serve(listener, api::router(app), aws, stop.clone()));
    signals.wait().await;
    stop.cancel();
    let ended = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!("some work was still under way; it continues at the next start");
    }
    Ok(())
}

fn start_pollers(app: &App, aws: &EmbeddedAws, share: Share, stop: &CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let endpoints = EndpointClient::bounded(app.endpoint_policy, share.endpoints)?;
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
    Ok(tasks)
}

/// Prints the address, the token, and commands to paste.
fn greet(address: SocketAddr, token: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    writeln!(out, "token: {token}")?;
    writeln!(
        out,
        "
Register a webhook (its secret is shown once):
  curl -X POST http://{address}/v1/webhooks -H 'Authorization: Bearer {token}' \\
    -H 'Content-Type: application/json' -d '{{\"url\":\"http://127.0.0.1:5000/webhooks\",\"events\":[\"resource.*\"]}}'
Publish an event:
  curl -X POST http://{address}/v1/events -H 'Authorization: Bearer {token}' \\
    -H 'Content-Type: application/json' -d '{{\"type\":\"resource.created\",\"data\":{{\"object\":{{\"id\":\"res_1\"}}}}}}'
See what became of it (with the event's id):
  curl http://{address}/v1/events/EVENT_ID -H 'Authorization: Bearer {token}'
"
    )?;
    out.flush()
}

/// Listens for Ctrl-C and SIGTERM from its creation on.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
