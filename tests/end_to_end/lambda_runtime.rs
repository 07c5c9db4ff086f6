//! The functions' real binaries, on a Runtime API and a strict AWS.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use hookline::app::App;
use hookline::endpoint::EndpointPolicy;
use hookline::random::Random;
use hookline::schedule::RetrySchedule;
use hookline::time::Clock;
use local::{embedded::EmbeddedAws, provision};
use serde_json::Value;
use strict_aws::lambda::Lambda;
use tokio::process::Command;

use crate::process::build_all;
use crate::program::Program;

const FUNCTIONS: [&str; 4] = ["api", "publish", "deliver", "retry"];

/// The tables and queues that functions work on.
pub(crate) struct Account {
    /// The same tables and queues, for the test itself.
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
        let app = App::new(&aws.sdk_config(), config, clock, Random::system());
        Self { app, aws }
    }

    /// Starts the function's binary with the environment that Lambda and the template give it.
    pub(crate) async fn function(&self, name: &'static str) -> Function {
        let lambda = Lambda::listen(self.aws.clone(), name, Duration::ZERO).await;
        let mut command = Command::new(executable(name));
        command.env_clear().envs(lambda.environment(&self.app.config));
        Function { program: Program::spawn(command), lambda }
    }

    /// Takes what waits on a queue.
    pub(crate) async fn messages(&self, queue_url: &str) -> Vec<Value> {
        let call = self.app.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        let received = call.send().await.expect("the embedded SQS answers").messages.unwrap_or_default();
        let bodies = received.iter().map(|message| message.body().expect("a message has a body"));
        bodies.map(|body| serde_json::from_str(body).expect("Hookline's messages are JSON")).collect()
    }
}

impl Function {
    /// What the function answers to an event; `Err` where it says that it failed.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        self.lambda.invoke(event).await
    }

    /// What the function has logged, as soon as `wanted` finds something in it.
    pub(crate) async fn logged<T>(&self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let parsed = |line: &String| serde_json::from_str::<Value>(line).ok();
        self.program.error_lines(what, |lines| lines.iter().filter_map(parsed).find_map(|line| wanted(&line))).await
    }
}

/// A function's executable, built once for all tests.
fn executable(name: &str) -> PathBuf {
    static EXECUTABLES: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let executables = EXECUTABLES.get_or_init(|| {
        // With `local` among them they are built of the same parts as `local` is, and no crate twice.
        build_all(&["local", FUNCTIONS[0], FUNCTIONS[1], FUNCTIONS[2], FUNCTIONS[3]])
    });
    executables[name].clone()
}
