//! The schemas of request bodies and parameters. The parsers read bodies field by field and have no struct to derive a schema
//! from, so the structs here repeat their rules. `tests/end_to_end/api/rules.rs` and `tests/checks/openapi-fuzz` check that the
//! two agree.
#![expect(dead_code, reason = "only their schemas are used")]

use crate::problem::Document;
use domain::{
    account::AccountId,
    endpoint_policy::EndpointUrl,
    event::Payload,
    event_type::{EventType, Subscription},
    id::WebhookId,
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

/// The query parameter `limit` of lists.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Limit {
    /// The most entries of the page, from 1 to 100. A page may have fewer, or none, even if more pages follow.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

/// The header `Idempotency-Key`.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// A name for this publication, of 1 to 255 printable ASCII characters, so that sending the request twice publishes once.
    /// It is kept for 24 hours. The same key with the same body gets the first answer again. The same key with another body, or
    /// on the other route, is a 422.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[ -~]+$")]
    idempotency_key: Option<String>,
}

/// A webhook to register.
#[derive(ToSchema)]
#[schema(examples(json!({ "url": "https://your-app.com/webhooks", "events": ["resource.*", "payment.succeeded"] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// The URL that deliveries are sent to.
    url: EndpointUrl,
    /// The event types that the webhook receives, 1 to 50: exact names, prefixes such as `resource.*`, or `*`. An entry that
    /// matches no type of the catalogue is a 422.
    #[schema(min_items = 1, max_items = 50)]
    events: Vec<Subscription>,
    /// The secret that signs deliveries. Generated, as `whsec_…`, if it is missing or `null`.
    secret: Option<Secret>,
    /// The user's description, at most 1,024 characters.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The most deliveries a second, from 1 to 1,000, retries included. `null` sets no limit.
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
}

/// Changes to a webhook. Fields that are left out stay as they are.
#[derive(ToSchema)]
#[schema(examples(json!({ "events": ["*"], "status": "enabled" })))]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookChange {
    /// The URL that deliveries are sent to.
    #[schema(nullable = false)]
    url: Option<EndpointUrl>,
    /// The event types that the webhook receives, 1 to 50: exact names, prefixes such as `resource.*`, or `*`. An entry that
    /// matches no type of the catalogue is a 422.
    #[schema(min_items = 1, max_items = 50, nullable = false)]
    events: Option<Vec<Subscription>>,
    /// The new secret. It replaces all earlier ones at once; use `rotate-secret` for an overlap.
    #[schema(nullable = false)]
    secret: Option<Secret>,
    /// The user's description, at most 1,024 characters. `null` removes it.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The most deliveries a second, from 1 to 1,000, retries included. `null` removes the limit.
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
    /// `disabled` stops deliveries and holds the pending ones. `enabled` starts deliveries of new events again.
    #[schema(nullable = false)]
    status: Option<WebhookStatus>,
}

/// A test delivery to send.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTest {
    /// The webhook to send it to.
    webhook_id: WebhookId,
    /// The type whose sample is sent. It must be in the catalogue; the webhook need not subscribe to it.
    event_type: EventType,
}

/// How to rotate a secret.
#[derive(ToSchema)]
#[schema(examples(json!({ "overlap_seconds": 3600 })))]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// The new secret. Generated, as `whsec_…`, if it is missing or `null`.
    secret: Option<Secret>,
    /// How long the replaced secret goes on signing, in seconds, from 0 to 604,800 (7 days). The default is 86,400 (24 hours).
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<u32>,
}

/// The window of a recovery.
#[derive(ToSchema)]
#[schema(examples(json!({ "since": "2025-02-18T10:30:00Z" })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecovery {
    /// The beginning of the window, in RFC 3339. It must be before the end.
    since: String,
    /// The end of the window, in RFC 3339. The default is 5 seconds after the request, because the clocks of
    /// workers differ.
    until: Option<String>,
}

/// An event to publish.
#[derive(ToSchema)]
#[schema(examples(json!({ "type": "resource.created", "data": { "object": { "id": "res_xyz789" } } })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvent {
    /// The event's type. It must be in the catalogue, and must not be `webhook.disabled`, which only Hookline publishes.
    #[schema(pattern = r"^(?!webhook\.disabled$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$", max_length = 128)]
    r#type: String,
    /// What happened.
    data: NewEventData,
    /// The values that an update replaced, as a JSON object. Delivered as `null` if it is missing.
    #[schema(value_type = Option<Object>)]
    previous_data: Option<()>,
}

/// The `data` of an event to publish.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEventData {
    /// A JSON object of the publisher's own. It is delivered byte for byte as it was sent.
    #[schema(value_type = Object)]
    object: (),
}

/// A batch of events to publish.
#[derive(ToSchema)]
#[schema(examples(json!({ "events": [{ "type": "resource.created", "data": { "object": { "id": "res_xyz789" } } }] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBatch {
    /// The events, 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<BatchEntry>,
}

/// An entry of a batch: an event, or any other value, which gets a problem in the answer.
pub(crate) struct BatchEntry;

impl PartialSchema for BatchEntry {
    fn schema() -> RefOr<Schema> {
        let event = Ref::from_schema_name(NewEvent::name());
        let else_ = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let description = "An event. Any other value does not fail the batch: its entry in the answer is a problem.";
        AnyOfBuilder::new().item(event).item(else_).description(Some(description)).into()
    }
}

impl ToSchema for BatchEntry {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewEvent::name().into_owned(), NewEvent::schema()));
        NewEvent::schemas(schemas);
    }
}

/// The published event, or the problem why it was not published.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum BatchResult {
    Event(Payload<'static>),
    Problem(Document<'static>),
}

/// An event type to add to the catalogue.
#[derive(ToSchema)]
#[schema(examples(json!({ "name": "order.shipped", "sample": { "data": { "object": { "id": "ord_1" } } } })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEventType {
    /// The name: at most 128 characters, at least two words of letters, digits, `_` and `-`, joined by dots.
    name: EventType,
    /// What the event type is for, at most 1,024 characters.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// What a test delivery of the type carries. The default is an empty object.
    sample: Option<NewSample>,
}

/// The sample of an event type, in the form of an event.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSample {
    /// The sample's `data`.
    data: NewEventData,
    /// The sample's `previous_data`, as a JSON object.
    #[schema(value_type = Option<Object>)]
    previous_data: Option<()>,
}

/// An account token to issue.
#[derive(ToSchema)]
#[schema(examples(json!({ "account": "acme", "scopes": ["publish"] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// The account that the token is bound to. The default is the account that the request is about.
    account: Option<AccountId>,
    /// What the token allows. The default is `manage` and `publish`.
    #[schema(min_items = 1, max_items = 2)]
    scopes: Option<Vec<AccountScope>>,
    /// What the token is for, at most 1,024 characters.
    #[schema(max_length = 1024)]
    description: Option<String>,
}

/// A scope of an account token: `manage` allows webhooks and deliveries, `publish` allows publishing. Either allows reading
/// events and event types.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccountScope {
    Manage,
    Publish,
}
