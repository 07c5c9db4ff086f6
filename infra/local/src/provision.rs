//! Creates the tables and queues in the embedded AWS, as `template.yaml` does in AWS.

use application::config::{Config, WEBHOOKS_MAX};
use aws_sdk_dynamodb::{
    error::DisplayErrorContext,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    },
};
use domain::{
    allowed_origins::AllowedOrigins, backoff::RetrySchedule, brand::Brand, endpoint_policy::EndpointPolicy,
    webhook::TrialSchedule,
};
use embedded_aws::{EmbeddedAws, QueueAttributes};
use std::time::Duration;
use store::{
    QueueSettings, TableSettings,
    keys::{ACCOUNT, EXPIRES_AT, ID, PARTITION},
    queues::{RECEIVES_MAX, VISIBILITY_TIMEOUT},
};

/// The queue of tasks.
pub const DELIVERIES: &str = "deliveries";
/// The queue of tasks for endpoints that have just timed out.
pub const SLOW_DELIVERIES: &str = "slow-deliveries";
/// The queue of events and jobs.
pub const EVENTS: &str = "events";

/// Returns the settings with which the functions find what [`provision`] creates.
pub fn config(aws: &EmbeddedAws, retry_schedule: RetrySchedule, endpoint_policy: EndpointPolicy) -> Config {
    Config {
        tables: TableSettings {
            webhooks: "webhooks".to_owned(),
            events: "events".to_owned(),
            deliveries: "deliveries".to_owned(),
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            webhooks_max: WEBHOOKS_MAX,
        },
        queues: QueueSettings {
            deliveries_url: aws.queue_url(DELIVERIES),
            slow_deliveries_url: aws.queue_url(SLOW_DELIVERIES),
            events_url: aws.queue_url(EVENTS),
            retry_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:retry".to_owned(),
            scheduler_role_arn: "arn:aws:iam::000000000000:role/scheduler".to_owned(),
            scheduler_dead_letter_arn: None,
            schedule_group: "hookline".to_owned(),
        },
        retry_schedule,
        trial_schedule: TrialSchedule::default(),
        auto_recover: true,
        publish_rate_limit: None,
        cors_allow_origins: AllowedOrigins::NONE,
        brand: Brand::default(),
        frame_ancestors: AllowedOrigins::NONE,
        endpoint_policy,
    }
}

/// Creates the tables and queues that do not exist yet, and updates the settings of existing queues.
pub async fn provision(aws: &EmbeddedAws, config: &Config) -> anyhow::Result<()> {
    let settings = QueueAttributes { visibility_timeout: VISIBILITY_TIMEOUT, ..QueueAttributes::default() };
    for (queue, source) in [(DELIVERIES, DELIVERIES), (SLOW_DELIVERIES, DELIVERIES), (EVENTS, EVENTS)] {
        let dead_letters = format!("{source}-dead-letters");
        aws.create_queue(&dead_letters, settings.clone())?;
        let (settings, dead_letter_queue) = (settings.clone(), Some(dead_letters));
        aws.create_queue(queue, QueueAttributes { max_receive_count: RECEIVES_MAX, dead_letter_queue, ..settings })?;
    }
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    create_table(&dynamodb, &config.tables.webhooks, ACCOUNT).await?;
    create_table(&dynamodb, &config.tables.events, PARTITION).await?;
    create_table(&dynamodb, &config.tables.deliveries, PARTITION).await
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
        Err(error) => anyhow::bail!("the table {name} cannot be created: {}", DisplayErrorContext(error)),
    }
    let expiry = TimeToLiveSpecification::builder().attribute_name(EXPIRES_AT).enabled(true).build()?;
    let call = dynamodb.update_time_to_live().table_name(name).time_to_live_specification(expiry);
    call.send().await.map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))?;
    Ok(())
}
