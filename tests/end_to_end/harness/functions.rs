//! The functions' binaries, run against a Runtime API and the strict AWS.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use application::App;
use domain::backoff::RetrySchedule;
use domain::endpoint_policy::EndpointPolicy;
use domain::random::Random;
use domain::time::Clock;
use embedded_aws::EmbeddedAws;
use local::provision;
use serde_json::Value;
use strict_aws::lambda::Lambda;
use tokio::process::Command;

use crate::harness::cargo::build_all;
use crate::harness::program::Program;

const FUNCTIONS: [&str; 4] = ["api", "publish", "deliver", "retry"];

/// An AWS account: the tables and queues that the functions use.
pub(crate) struct Account {
    /// The test's own access to the same tables and queues.
    pub(crate) app: App,
    aws: EmbeddedAws,
}

/// A running function.
pub(crate) struct Function {
    program: Program,
    lambda: Lambda,
}

impl Account {
    pub(crate) async fn new() -> Self {
        let clock = Clock::system();
        let aws = EmbeddedAws::open(None, clock.clone()).expect("an embedded AWS in memory");
        let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let app = App::new(aws.clients(), config, clock, Random::system());
        Self { app, aws }
    }

    /// Starts a function's binary with the environment that Lambda and the template give it.
    pub(crate) async fn function(&self, name: &'static str) -> Function {
        let lambda = Lambda::listen(self.aws.clone(), name, Duration::ZERO).await;
        let mut command = Command::new(executable(name));
        command.env_clear().envs(lambda.environment(&self.app));
        Function { program: Program::spawn(command), lambda }
    }

    /// Receives up to ten messages from a queue; returns their JSON bodies.
    pub(crate) async fn messages(&self, queue_url: &str) -> Vec<Value> {
        let call = self.app.queues.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        let received = call.send().await.expect("the embedded SQS answers").messages.unwrap_or_default();
        let bodies = received.iter().map(|message| message.body().expect("a message has a body"));
        bodies.map(|body| serde_json::from_str(body).expect("Hookline's messages are JSON")).collect()
    }
}

impl Function {
    /// Invokes the function with an event; returns its response, or `Err` with its error.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        self.lambda.invoke(event).await
    }

    /// Waits for a log line for which `wanted` returns a value, and returns the value.
    pub(crate) async fn logged<T>(&self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let parsed = |line: &String| serde_json::from_str::<Value>(line).ok();
        self.program.error_lines(what, |lines| lines.iter().filter_map(parsed).find_map(|line| wanted(&line))).await
    }
}

/// A function's executable, built once for all tests.
fn executable(name: &str) -> PathBuf {
    static EXECUTABLES: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let executables = EXECUTABLES.get_or_init(|| {
        // Building `local` with them gives all the same dependency features, so that no crate is
        // built twice.
        build_all(&["local", FUNCTIONS[0], FUNCTIONS[1], FUNCTIONS[2], FUNCTIONS[3]])
    });
    executables[name].clone()
}
