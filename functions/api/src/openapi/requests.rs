//! Request bodies and parameters, as strict as their parsers: those read field by field, so that no struct has their shape.
//! `tests/end_to_end/api_rules.rs` and `infra/checks/openapi-fuzz` hold the two together.
#![expect(dead_code, reason = "only their schemas are used")]

use crate::problem::Document;
use hookline::{
    endpoint::EndpointUrl,
    event::Payload,
    event_type::{EventType, Subscription},
    id::{AccountId, WebhookId},
    secret::Secret,
    webhook::WebhookStatus,
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Schema,
        schema::{AnyOfBuilder, SchemaType},
    },
};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Limit {
    /// How many entries the page has at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// Kept for 24 hours: the same key and body give the first answer again, the same key and another body are a 422.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[ -~]+$")]
    idempotency_key: Option<String>,
}

#[derive(ToSchema)]
#[schema(examples(json!({ "url": "https://your-app.com/webhooks", "events": ["resource.*", "payment.succeeded"] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// Where deliveries go.
    url: EndpointUrl,
    /// The event types that it gets; a name that the catalogue lacks is a fault.
    #[schema(min_items = 1, max_items = 50)]
    events: Vec<Subscription>,
    /// What deliveries are signed with; one is made where there is none.
    secret: Option<Secret>,
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// Deliveries a second; as many as come where it is `null`.
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
}

#[derive(ToSchema)]
#[schema(examples(json!({ "events": ["*"], "status": "enabled" })))]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookChange {
    /// Where deliveries go.
    #[schema(nullable = false)]
    url: Option<EndpointUrl>,
    /// The event types that it gets; a name that the catalogue lacks is a fault.
    #[schema(min_items = 1, max_items = 50, nullable = false)]
    events: Option<Vec<Subscription>>,
    /// The only secret from now on; `rotate-secret` has an overlap.
    #[schema(nullable = false)]
    secret: Option<Secret>,
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// Deliveries a second; as many as come where it is `null`.
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
    #[schema(nullable = false)]
    status: Option<WebhookStatus>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTest {
    webhook_id: WebhookId,
    /// One that the catalogue has.
    event_type: EventType,
}

#[derive(ToSchema)]
#[schema(examples(json!({ "overlap_seconds": 3600 })))]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// The new secret; one is made where there is none.
    secret: Option<Secret>,
    /// How long both secrets sign; a day where it is not said.
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<u32>,
}

#[derive(ToSchema)]
#[schema(examples(json!({ "since": "2025-02-18T10:30:00Z" })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecovery {
    /// The first moment of the time, in the past.
    since: String,
    /// The end of the time, after `since`; now where it is not said.
    until: Option<String>,
}

#[derive(ToSchema)]
#[schema(examples(json!({ "type": "resource.created", "data": { "object": { "id": "res_xyz789" } } })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvent {
    /// One that the catalogue has, but for `webhook.disabled`, which Hookline alone publishes.
    #[schema(pattern = r"^(?!webhook\.disabled$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$", max_length = 128)]
    r#type: String,
    data: NewEventData,
    /// What an update replaced.
    #[schema(value_type = Option<Object>)]
    previous_data: Option<()>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEventData {
    /// Delivered byte for byte as it is written.
    #[schema(value_type = Object)]
    object: (),
}

#[derive(ToSchema)]
#[schema(examples(json!({ "events": [{ "type": "resource.created", "data": { "object": { "id": "res_xyz789" } } }] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBatch {
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<BatchEntry>,
}

/// An entry of a batch.
pub(crate) struct BatchEntry;

impl PartialSchema for BatchEntry {
    fn schema() -> RefOr<Schema> {
        let event = Ref::from_schema_name(NewEvent::name());
        let else_ = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let description =
            "An event; anything else does not fail the batch, but has a problem in its place of the answer.";
        AnyOfBuilder::new().item(event).item(else_).description(Some(description)).into()
    }
}

impl ToSchema for BatchEntry {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewEvent::name().into_owned(), NewEvent::schema()));
        NewEvent::schemas(schemas);
    }
}

/// The event, or what is wrong with it.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum BatchResult {
    Event(Payload<'static>),
    Problem(Document<'static>),
}

#[derive(ToSchema)]
#[schema(examples(json!({ "name": "order.shipped", "sample": { "data": { "object": { "id": "ord_1" } } } })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEventType {
    name: EventType,
    #[schema(max_length = 1024)]
    description: Option<String>,
    sample: Option<NewSample>,
}

/// What a test delivery of the type carries.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSample {
    data: NewEventData,
    #[schema(value_type = Option<Object>)]
    previous_data: Option<()>,
}

#[derive(ToSchema)]
#[schema(examples(json!({ "account": "acme", "scopes": ["publish"] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// The account that it is bound to; the one that the request is about where there is none.
    account: Option<AccountId>,
    /// `manage` and `publish` where there are none.
    #[schema(min_items = 1, max_items = 2)]
    scopes: Option<Vec<AccountScope>>,
    #[schema(max_length = 1024)]
    description: Option<String>,
}

/// What an account token may allow.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccountScope {
    Manage,
    Publish,
}
