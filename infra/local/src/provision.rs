//! Makes what `template.yaml` makes in AWS: the tables and the queues, in the embedded AWS.

use crate::embedded::{EmbeddedAws, QueueSettings};
use aws_sdk_dynamodb::{
    error::DisplayErrorContext,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    },
};
use hookline::{
    config::{Config, WEBHOOKS_MAX},
    endpoint::EndpointPolicy,
    schedule::RetrySchedule,
    store::keys::{ACCOUNT, EXPIRES_AT, ID, PARTITION},
};
use std::time::Duration;

/// Queue of wake-ups.
pub const DELIVERIES: &str = "deliveries";
/// Queue of tasks for endpoints that have just timed out.
pub const SLOW_DELIVERIES: &str = "slow-deliveries";
/// Queue of events and jobs.
pub const EVENTS: &str = "events";

/// Six times the time that a function may take, as AWS asks.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(180);
/// Receipts before a message goes to the dead-letter queue: with growing waits more than half an hour.
const MAX_RECEIVE_COUNT: u32 = 30;

/// The settings under which the functions find what [`provision`] makes.
pub fn config(aws: &EmbeddedAws, retry_schedule: RetrySchedule, endpoint_policy: EndpointPolicy) -> Config {
    Config {
        webhooks_table: "webhooks".to_owned(),
        events_table: "events".to_owned(),
        deliveries_table: "deliveries".to_owned(),
        deliveries_queue_url: aws.queue_url(DELIVERIES),
        slow_deliveries_queue_url: aws.queue_url(SLOW_DELIVERIES),
        events_queue_url: aws.queue_url(EVENTS),
        retry_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:retry".to_owned(),
        scheduler_role_arn: "arn:aws:iam::000000000000:role/scheduler".to_owned(),
        scheduler_dead_letter_arn: None,
        schedule_group: "hookline".to_owned(),
        retry_schedule,
        retention: Duration::from_secs(30 * 24 * 60 * 60),
        publish_rate_limit: None,
        webhooks_max: WEBHOOKS_MAX,
        endpoint_policy,
    }
}

/// Makes the tables and queues that are not there yet.
pub async fn provision(aws: &EmbeddedAws, config: &Config) -> anyhow::Result<()> {
    let settings = QueueSettings { visibility_timeout: VISIBILITY_TIMEOUT, ..QueueSettings::default() };
    for (queue, source) in [(DELIVERIES, DELIVERIES), (SLOW_DELIVERIES, DELIVERIES), (EVENTS, EVENTS)] {
        let dead_letters = format!("{source}-dead-letters");
        aws.create_queue(&dead_letters, settings.clone())?;
        let (settings, dead_letter_queue) = (settings.clone(), Some(dead_letters));
        aws.create_queue(queue, QueueSettings { max_receive_count: MAX_RECEIVE_COUNT, dead_letter_queue, ..settings })?;
    }
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    create_table(&dynamodb, &config.webhooks_table, ACCOUNT).await?;
    create_table(&dynamodb, &config.events_table, PARTITION).await?;
    create_table(&dynamodb, &config.deliveries_table, PARTITION).await
}

async fn create_table(dynamodb: &aws_sdk_dynamodb::Client, name: &str, partition_key: &str) -> anyhow::Result<()> {
    let mut call = dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, key_type) in [(partition_key, KeyType::Hash), (ID, KeyType::Range)] {
        let text = ScalarAttributeType::S;
        call = call.attribute_definitions(
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(text).build()?,
        );
        call = call.key_schema(KeySchemaElement::builder().attribute_name(attribute).key_type(key_type).build()?);
    }
    match call.send().await {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
            return Ok(());
        }
        Err(error) => anyhow::bail!("the table {name} cannot be made: {}", DisplayErrorContext(error)),
    }
    let expiry = TimeToLiveSpecification::builder().attribute_name(EXPIRES_AT).enabled(true).build()?;
    let call = dynamodb.update_time_to_live().table_name(name).time_to_live_specification(expiry);
    call.send().await.map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))?;
    Ok(())
}
