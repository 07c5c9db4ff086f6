//! The SDK clients.

use crate::capacity::Capacity;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::Builder;
use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
};

/// The clients of the three services.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The tables.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The queues.
    pub sqs: Lazy<aws_sdk_sqs::Client>,
    /// The one-time schedules.
    pub scheduler: Lazy<aws_sdk_scheduler::Client>,
}

impl Clients {
    /// Creates clients with the region, credentials and HTTP client of `aws`.
    pub fn new(aws: &SdkConfig) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(Builder::from(aws).interceptor(Capacity).build()),
            sqs: Lazy::new(aws, aws_sdk_sqs::Client::new),
            scheduler: Lazy::new(aws, aws_sdk_scheduler::Client::new),
        }
    }
}

/// A client that is created when it is first used, so that a cold start does not pay for clients that most invocations do not
/// use. Clones share the client.
#[derive(Clone, Debug)]
pub struct Lazy<C>(Arc<LazyLock<C, Box<dyn FnOnce() -> C + Send>>>);

impl<C> Lazy<C> {
    /// Creates a lazy client. `make` creates the client from `aws` when it is first used.
    pub fn new<A: Clone + Send + 'static>(aws: &A, make: impl FnOnce(&A) -> C + Send + 'static) -> Self {
        let aws = aws.clone();
        Self(Arc::new(LazyLock::new(Box::new(move || make(&aws)))))
    }
}

impl<C> Deref for Lazy<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}
