//! Zip size, CPU, time and memory of each function's cold start, compared with the smallest
//! function in Rust, built with the same profile.
//!
//! The functions run on the bench's own Runtime API, which also answers their calls to AWS, over
//! plain HTTP. A TLS handshake would add the same to each function that calls AWS.

use crate::{
    figures::{Figure, Table, figure, percentile_ms},
    http::Connection,
    stack::{Executable, Usage},
};
use anyhow::Context;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command as Tool, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{mpsc, oneshot},
    time::timeout,
};

/// The smallest function.
const HELLO: &str = "hello";
/// The functions of Hookline.
const FUNCTIONS: [&str; 4] = ["api", "publish", "deliver", "retry"];
/// The longest wait for a function to start or to answer.
const LIMIT: Duration = Duration::from_secs(30);
/// The files of root certificates of Debian and of Amazon Linux. Like the template, the bench names
/// one file.
const CERTIFICATES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

pub(crate) async fn measure(quick: bool) -> anyhow::Result<Table> {
    let mut table =
        Table::new("weight", "cold start of each function (medians, largest memory); x is relative to hello");
    let repetitions = if quick { 7 } else { 101 };
    let mut measured = vec![];
    for name in std::iter::once(HELLO).chain(FUNCTIONS) {
        let executable = Executable::build(name)?;
        // A copy, written at once as in Lambda: the linker's own output causes more page faults.
        let folder = executable.folder()?;
        std::fs::copy(executable.path(), folder.path().join(name))?;
        measured.push((name, folder, Starts::default()));
    }
    // The functions take turns, because a machine's speed changes from minute to minute.
    for _ in 0..repetitions {
        for (name, folder, starts) in &mut measured {
            starts.measure(name, &folder.path().join(*name)).await?;
        }
    }
    let mut hello = None;
    for (name, folder, starts) in measured {
        let medians = starts.medians();
        let hello = *hello.get_or_insert(medians);
        let mut figures = vec![
            figure("zip", "MB", deflated_bytes(&folder.path().join(name))? as f64 / 1e6),
            figure("crates", "", crates_linked(name)? as f64),
        ];
        figures.extend(medians.figures(&hello));
        table.row(name, figures);
    }
    Ok(table)
}

/// Time and CPU from exec to a moment of a start.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    wall: Duration,
    cpu: Duration,
}

/// The samples of one function, from all its starts.
#[derive(Debug, Default)]
struct Starts {
    /// At the first request for an event.
    next: Vec<Since>,
    /// At the first answer.
    answer: Vec<Since>,
    memory_mb: Vec<f64>,
}

/// The medians of one function: pairs of time and CPU, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Medians {
    next: (f64, f64),
    answer: (f64, f64),
    /// The largest, not the median.
    memory_mb: f64,
}

impl Starts {
    /// Starts the function once, lets it answer one event, and records the samples.
    async fn measure(&mut self, name: &str, path: &Path) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (calls, mut received) = mpsc::unbounded_channel();
        let event = event(name).to_string();
        let served = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = serve(stream, event.clone(), calls.clone());
                // The connection breaks when the function is killed.
                tokio::spawn(async move { served.await.ok() });
            }
        });
        let mut command = Command::new(path);
        command.env_clear().envs(environment(&address)).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let began = Instant::now();
        let mut child = command.spawn()?;
        let usage = Usage::of(child.id().context("the function has ended")?);
        for samples in [&mut self.next, &mut self.answer] {
            let call = timeout(LIMIT, received.recv())
                .await
                .with_context(|| format!("{name} makes no call within {LIMIT:?}"))?;
            let Call { at, read } = call.with_context(|| format!("{name} has ended"))?;
            samples.push(Since { wall: at.duration_since(began), cpu: usage.cpu_exactly()? });
            drop(read);
        }
        self.memory_mb.push(usage.peak_memory_mb()?);
        child.kill().await?;
        served.abort();
        Ok(())
    }

    fn medians(self) -> Medians {
        let both = |samples: &[Since]| {
            let mut wall: Vec<_> = samples.iter().map(|since| since.wall).collect();
            let mut cpu: Vec<_> = samples.iter().map(|since| since.cpu).collect();
            (percentile_ms(&mut wall, 0.5), percentile_ms(&mut cpu, 0.5))
        };
        let memory_mb = self.memory_mb.iter().copied().fold(0.0, f64::max);
        Medians { next: both(&self.next), answer: both(&self.answer), memory_mb }
    }
}

impl Medians {
    fn figures(&self, hello: &Self) -> Vec<Figure> {
        vec![
            figure("/next time", "ms", self.next.0),
            figure("/next CPU", "ms", self.next.1),
            figure("/next CPU", "x", self.next.1 / hello.next.1),
            figure("answer time", "ms", self.answer.0),
            figure("answer CPU", "ms", self.answer.1),
            figure("answer CPU", "x", self.answer.1 / hello.answer.1),
            figure("memory", "MB", self.memory_mb),
            figure("memory", "x", self.memory_mb / hello.memory_mb),
        ]
    }
}

/// A call of the Runtime API. It is answered when `read` is dropped. Until then the function waits,
/// and its CPU can be read.
struct Call {
    at: Instant,
    read: oneshot::Sender<()>,
}

/// Reports a call, and returns when the function's CPU has been read.
async fn report(at: Instant, calls: &mpsc::UnboundedSender<Call>) -> anyhow::Result<()> {
    let (read, is_read) = oneshot::channel();
    calls.send(Call { at, read })?;
    is_read.await.ok();
    Ok(())
}

/// Answers one connection, as the Runtime API does and as AWS does if every table and queue is
/// empty.
async fn serve(stream: TcpStream, event: String, calls: mpsc::UnboundedSender<Call>) -> anyhow::Result<()> {
    let mut connection = Connection::of(stream);
    while let Some((head, _)) = connection.read().await? {
        let at = Instant::now();
        let answer = match head.first_line.split(' ').nth(1).unwrap_or_default() {
            path if path.ends_with("/invocation/next") => {
                report(at, &calls).await?;
                let headers = "Lambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 9999999999999\r\n\
                    Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n";
                format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{event}", event.len())
            }
            path if path.contains("/invocation/") => {
                // The function's answer, or its error. There is no second event.
                report(at, &calls).await?;
                "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            _ => {
                let body = json!({"Successful": [], "Failed": []}).to_string();
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
        };
        connection.write(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Returns a function's first event: the one that causes the least work.
fn event(name: &str) -> Value {
    match name {
        "api" => json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/healthz", "rawQueryString": "",
            "headers": {"host": "bench"}, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "000000000000", "apiId": "bench", "domainName": "bench", "domainPrefix": "bench",
                "http": {"method": "GET", "path": "/healthz", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "bench"},
                "requestId": "1", "routeKey": "$default", "stage": "$default", "time": "18/Feb/2025:10:30:00 +0000",
                "timeEpoch": 1_739_874_600_000_i64,
            },
        }),
        "retry" => json!({
            "account": "acme", "delivery": "dlv_01JMC3W5H8000000000000000001JMC3W5H800000000000000000",
            "epoch": 0, "trigger": "0.2",
        }),
        _ => json!({"Records": []}),
    }
}

/// Returns the environment of a deployed function, with the bench in place of the Runtime API and
/// of AWS.
fn environment(address: &str) -> Vec<(&'static str, String)> {
    let mut environment =
        vec![("AWS_LAMBDA_RUNTIME_API", address.to_owned()), ("AWS_ENDPOINT_URL", format!("http://{address}"))];
    let texts = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("WEBHOOKS_TABLE", "webhooks"),
        ("EVENTS_TABLE", "events"),
        ("DELIVERIES_TABLE", "deliveries"),
        ("DELIVERIES_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/deliveries"),
        ("SLOW_DELIVERIES_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/slow-deliveries"),
        ("EVENTS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/events"),
        ("RETRY_FUNCTION_ARN", "arn:aws:lambda:us-east-1:000000000000:function:retry"),
        ("SCHEDULER_ROLE_ARN", "arn:aws:iam::000000000000:role/scheduler"),
        ("SCHEDULE_GROUP", "hookline"),
    ];
    environment.extend(texts.map(|(name, text)| (name, text.to_owned())));
    let certificates = CERTIFICATES.iter().find(|file| Path::new(file).exists());
    environment.extend(certificates.map(|file| ("SSL_CERT_FILE", (*file).to_owned())));
    environment
}

/// Returns the executable's size in a zip file, which compresses as gzip does.
fn deflated_bytes(path: &Path) -> anyhow::Result<usize> {
    let output = Tool::new("gzip").args(["-9", "--stdout"]).arg(path).output().context("gzip could not be run")?;
    anyhow::ensure!(output.status.success(), "gzip failed");
    Ok(output.stdout.len())
}

/// Returns how many crates the package links, itself included.
fn crates_linked(package: &str) -> anyhow::Result<usize> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut tree = Tool::new(cargo);
    tree.args(["tree", "--package", package, "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().context("cargo could not be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut crates: Vec<_> =
        text.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    crates.sort_unstable();
    crates.dedup();
    Ok(crates.len())
}
