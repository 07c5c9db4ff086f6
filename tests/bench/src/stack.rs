//! The measured process: built by cargo, started on a folder on the disk, and measured through
//! `/proc`.

use anyhow::Context;
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The token of every stack. It has every scope, for every account.
pub(crate) const TOKEN: &str = "hl_bench_0123456789abcdef";
/// Clock ticks a second in `/proc`: a constant of Linux's interface, whatever the kernel's own rate
/// is.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// A program of this workspace, in a release build.
#[derive(Clone, Debug)]
pub(crate) struct Executable(PathBuf);

impl Executable {
    /// Builds the binary `name` with cargo, so that no stale build is measured. To compare,
    /// `HOOKLINE_LOCAL_BIN` names another build of `local`, `HOOKLINE_PUBLISH_BIN` one of `publish`
    /// and so on, and `HOOKLINE_PROFILE` names another profile than `release`.
    pub(crate) fn build(name: &str) -> anyhow::Result<Self> {
        if let Some(given) = std::env::var_os(format!("HOOKLINE_{}_BIN", name.to_uppercase())) {
            return Ok(Self(given.into()));
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
        let profile = std::env::var("HOOKLINE_PROFILE").unwrap_or_else(|_| "release".to_owned());
        let output = std::process::Command::new(cargo)
            .args(["build", "--profile", &profile, "--package", name, "--bin", name])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .context("cargo could not be run")?;
        anyhow::ensure!(output.status.success(), "{name} could not be built");
        let executable = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name)
            .find_map(|message| message["executable"].as_str().map(PathBuf::from));
        executable.map(Self).with_context(|| format!("cargo reported no executable of {name}"))
    }

    /// Returns the executable's path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates an empty folder on the executable's disk. (A folder of the system's for temporary
    /// files may be in memory.)
    pub(crate) fn folder(&self) -> anyhow::Result<TempDir> {
        let beside = self.0.parent().context("an executable is in a folder")?;
        Ok(TempDir::with_prefix_in("bench-data-", beside)?)
    }
}

/// A running process of `local`, or of another measured program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Stack {
    child: Child,
    id: u32,
    address: SocketAddr,
    usage: Usage,
    /// The time from exec to the line that names the address.
    pub(crate) listening_in: Duration,
}

impl Stack {
    /// Starts the process on the data in `folder`, with further options.
    pub(crate) async fn start(local: &Executable, folder: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(local.path());
        command.args(["--listen", "127.0.0.1:0", "--token", TOKEN, "--data"]).arg(folder).args(options);
        Self::run(command).await
    }

    /// Runs a program whose first line on stdout names its address, as that of `local` does.
    pub(crate) async fn run(mut command: Command) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped());
        let began = Instant::now();
        let (mut child, id) = spawn(command)?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let first = lines.next_line().await?.unwrap_or_default();
        let listening_in = began.elapsed();
        // Further output is read, so that the process never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = first.strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.with_context(|| format!("the first line on stdout is {first:?}"))?;
        Ok(Self { child, id, address, usage: Usage::of(id), listening_in })
    }

    /// Runs a program that was told to listen at `address`.
    pub(crate) fn run_at(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        command.stdout(Stdio::null());
        let (child, id) = spawn(command)?;
        Ok(Self { child, id, address, usage: Usage::of(id), listening_in: Duration::ZERO })
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Returns the address at which it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what the process has used.
    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Kills the process and waits until it has ended.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks the process to stop, and waits until it has ended.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.id.to_string()]).status().await?;
        let ended = self.child.wait().await?;
        anyhow::ensure!(asked.success() && ended.success(), "the process ended with {ended}");
        Ok(())
    }
}

/// Starts a process that is killed when it is dropped, and returns it and its id.
fn spawn(mut command: Command) -> anyhow::Result<(Child, u32)> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let name = command.as_std().get_program().display().to_string();
    let child = command.spawn().with_context(|| format!("{name} could not be started"))?;
    let id = child.id().context("the process has ended")?;
    Ok((child, id))
}

/// The CPU and memory that a process uses, from `/proc`.
#[derive(Clone, Debug)]
pub(crate) struct Usage(PathBuf);

impl Usage {
    /// Returns the usage of the process with this id.
    pub(crate) fn of(id: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{id}")))
    }

    /// Returns the usage of this process.
    pub(crate) fn own() -> Self {
        Self(PathBuf::from("/proc/self"))
    }

    /// Returns CPU seconds, in user and in kernel mode.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(self.0.join("stat"))?;
        // The second field is the name in parentheses, which may contain anything. The third
        // follows.
        let (_, fields) = stat.rsplit_once(") ").context("stat has no name in parentheses")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// Returns the CPU time of the existing threads, to the nanosecond.
    pub(crate) fn cpu_exactly(&self) -> anyhow::Result<Duration> {
        let mut total_ns = 0;
        for thread in std::fs::read_dir(self.0.join("task"))? {
            let statistics = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            total_ns += statistics.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total_ns))
    }

    /// Returns the largest resident memory so far, in MB.
    pub(crate) fn peak_memory_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(self.0.join("status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("status has no VmHWM")?;
        let kib: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024.0 / 1e6)
    }
}
