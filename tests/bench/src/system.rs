//! The systems that are compared: Hookline, svix-server and the floor. Each is started for one
//! measurement.

use crate::{
    http::request,
    load::{Client, payload},
    stack::{Executable, Stack},
    svix::Peer,
};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::process::Command;

/// Which system.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    Hookline(&'a Executable),
    Svix(&'a Peer),
    /// The minimal relay, which has only one webhook.
    Floor(&'a Executable),
}

/// A running system. Dropping it stops the process that was started for it.
pub(crate) struct System {
    pub(crate) client: Client,
    pub(crate) stack: Stack,
    /// The processes whose CPU counts, that of their children included.
    pub(crate) roots: Vec<u32>,
    /// Returns the request that publishes the event with a number.
    pub(crate) publish: Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>,
    /// Its data, or its working folder.
    pub(crate) folder: TempDir,
}

impl Kind<'_> {
    /// Returns the system's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hookline(_) => "Hookline",
            Self::Svix(_) => "svix-server",
            Self::Floor(_) => "floor",
        }
    }

    /// Returns the unit of figures that are relative to the system's.
    pub(crate) fn times(self) -> &'static str {
        match self {
            Self::Hookline(_) => "x Hookline",
            Self::Svix(_) => "x svix-server",
            Self::Floor(_) => "x floor",
        }
    }

    /// Starts the system, with a webhook at each of `urls`.
    pub(crate) async fn start(self, urls: Vec<String>) -> anyhow::Result<System> {
        match self {
            Self::Hookline(local) => hookline(local, urls).await,
            Self::Svix(peer) => peer.start(urls).await,
            Self::Floor(relay) => floor(relay, urls).await,
        }
    }
}

impl System {
    /// Stops the process, and deletes its data.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stack.kill().await?;
        Ok(self.folder.close()?)
    }
}

async fn hookline(local: &Executable, urls: Vec<String>) -> anyhow::Result<System> {
    let folder = local.folder()?;
    let stack = Stack::start(local, folder.path(), &[]).await?;
    let client = Client::of(&stack);
    client.register("default", urls).await?;
    let (publisher, roots) = (client.clone(), vec![stack.id()]);
    Ok(System { client, stack, roots, publish: Arc::new(move |number| publisher.publish("default", number)), folder })
}

async fn floor(relay: &Executable, urls: Vec<String>) -> anyhow::Result<System> {
    anyhow::ensure!(urls.len() == 1, "the floor has one webhook");
    let folder = relay.folder()?;
    let mut command = Command::new(relay.path());
    command.arg(folder.path().join("events")).args(urls);
    let stack = Stack::run(command).await?;
    let client = Client::at(stack.address(), String::new());
    let publish = |number| request("POST", "/events", &[], &payload(number));
    let roots = vec![stack.id()];
    Ok(System { client, stack, roots, publish: Arc::new(publish), folder })
}
