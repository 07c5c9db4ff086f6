//! The schemas of request bodies and parameters. The parsers read bodies field by field and have no struct to derive a schema
//! from, so the structs here repeat their rules. `tests/end_to_end/api/rules.rs` and `tests/checks/openapi-fuzz` check that the
//! two agree.
#![expect(dead_code, reason = "only their schemas are used")]

use crate::{problem::Document, warnings::PublishedEvent};
use domain::{
    account::AccountId,
    diagnosis,
    endpoint_policy::EndpointUrl,
    event_type::{EventType, Subscription},
    id::{EventId, WebhookId},
    schema::Validation,
    secret::Secret,
    webhook::{
        DeliveryMode, Held, WebhookStatus,
        options::{DisableOn, HEADERS_MAX},
    },
};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type, schema::SchemaType},
};

/// The query parameter `limit` of lists.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Limit {
    /// The most entries of the page, from 1 to 100. A page may have fewer, or none, even if more pages follow.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

/// The query parameter `cursor` of a poll.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PollCursor {
    /// The `next_cursor` of an earlier poll, at most 2 KiB. It stays valid as long as events are kept.
    #[param(max_length = 2048)]
    cursor: Option<String>,
}

/// The header `Idempotency-Key`.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// A name for this request, of 1 to 255 printable ASCII characters, so that sending it twice takes effect once. It is kept
    /// for 24 hours. The same key with the same body gets the first answer again. The same key with another body, or on another
    /// route, is a 422.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[ -~]+$")]
    idempotency_key: Option<String>,
}

/// The header `traceparent`.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct TraceParent {
    /// The trace of the publication, as in W3C Trace Context. It is sent to receivers as `traceparent`, and its id is in the service's log
    /// lines as `trace_id`. An invalid one is ignored.
    #[param(rename = "traceparent")]
    traceparent: Option<String>,
}

/// A webhook to register.
#[derive(ToSchema)]
#[schema(examples(json!({ "url": "https://your-app.com/webhooks", "events": ["resource.*", "payment.succeeded"] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// How the events reach the receiver: they are sent to `url`, or polled. The default is `push`.
    delivery: Option<DeliveryMode>,
    /// The URL that deliveries are sent to. Required, unless the events are polled; a polled webhook has none.
    url: Option<EndpointUrl>,
    /// When a polled webhook is deleted by itself, in RFC 3339. Only for a polled webhook. By default it stays.
    expires_at: Option<String>,
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
    /// Headers that every delivery carries, by name: at most 20. A value has 1 to 1,024 visible ASCII characters, with spaces between
    /// them. Headers of the connection, `Host`, `Content-*`, `User-Agent`, `Authorization` and Hookline's own headers are refused.
    /// Answers show each value as `***`.
    #[schema(schema_with = headers)]
    headers: Option<()>,
    /// How deliveries authenticate to the receiver.
    auth: Option<Auth>,
    /// The webhook's own retry schedule: the wait before each attempt as a whole number followed by `s`, `m` or `h`, 1 to 10 waits.
    /// The first is at most 15 minutes, each other at most 24 hours, and all together at most 7 days. The default is the schedule of the deployment.
    #[schema(min_items = 1, max_items = 10, pattern = r"^[0-9]{1,9}[smh]$")]
    retry_schedule: Option<Vec<String>>,
    /// The seconds that the receiver has for one attempt, from 1 to 20. The default is 5.
    #[schema(minimum = 1, maximum = 20)]
    timeout_seconds: Option<u32>,
    /// A further signature, in a form that the receiver already verifies.
    signature_header: Option<SignatureHeader>,
    /// Which failed deliveries disable the webhook: `failed_delivery`, every one whose last attempt failed; or `no_success`, only
    /// one since whose first attempt no other delivery to the webhook has succeeded, as far as the latest 1,000 deliveries show.
    /// The default is `failed_delivery`.
    disable_on: Option<DisableOn>,
    /// Whether the webhook is tried again by itself after failures have disabled it, and enabled when a trial succeeds. The default is
    /// that of the deployment, which is `true` unless its operator has changed it.
    auto_recover: Option<bool>,
    /// An event pattern, as in Amazon EventBridge, that the payload must match: at most 4 KiB and 50 fields with a list of
    /// values. Each fault is a 422 with the pointer of the faulty part. `null` lets every event pass.
    #[schema(value_type = Option<Object>)]
    filter: Option<()>,
}

/// Changes to a webhook. Fields that are left out stay as they are.
#[derive(ToSchema)]
#[schema(examples(json!({ "events": ["*"], "status": "enabled" })))]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookChange {
    /// The URL that deliveries are sent to. Not for a polled webhook.
    #[schema(nullable = false)]
    url: Option<EndpointUrl>,
    /// When a polled webhook is deleted by itself, in RFC 3339. `null` lets it stay.
    expires_at: Option<String>,
    /// The event types that the webhook receives, 1 to 50: exact names, prefixes such as `resource.*`, or `*`. A new entry that
    /// matches no type of the catalogue is a 422; an entry that the webhook has already may stay.
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
    /// Headers that every delivery carries, by name: at most 20. A value has 1 to 1,024 visible ASCII characters, with spaces between
    /// them. Headers of the connection, `Host`, `Content-*`, `User-Agent`, `Authorization` and Hookline's own headers are refused.
    /// Answers show each value as `***`. A value that is sent as `***` stays as it is. `null` removes them.
    #[schema(schema_with = headers)]
    headers: Option<()>,
    /// How deliveries authenticate to the receiver. A credential that is sent as `***` stays as it is. `null` removes it.
    auth: Option<Auth>,
    /// The webhook's own retry schedule: the wait before each attempt as a whole number followed by `s`, `m` or `h`, 1 to 10 waits.
    /// The first is at most 15 minutes, each other at most 24 hours, and all together at most 7 days. `null` puts the schedule of the deployment back.
    #[schema(min_items = 1, max_items = 10, pattern = r"^[0-9]{1,9}[smh]$")]
    retry_schedule: Option<Vec<String>>,
    /// The seconds that the receiver has for one attempt, from 1 to 20. `null` puts the default of 5 back.
    #[schema(minimum = 1, maximum = 20)]
    timeout_seconds: Option<u32>,
    /// A further signature, in a form that the receiver already verifies. `null` removes it.
    signature_header: Option<SignatureHeader>,
    /// Which failed deliveries disable the webhook: `failed_delivery`, every one whose last attempt failed; or `no_success`, only
    /// one since whose first attempt no other delivery to the webhook has succeeded, as far as the latest 1,000 deliveries show.
    /// The default is `failed_delivery`.
    disable_on: Option<DisableOn>,
    /// Whether the webhook is tried again by itself after failures have disabled it, and enabled when a trial succeeds. The default is
    /// that of the deployment, which is `true` unless its operator has changed it.
    auto_recover: Option<bool>,
    /// An event pattern, as in Amazon EventBridge, that the payload must match: at most 4 KiB and 50 fields with a list of
    /// values. Each fault is a 422 with the pointer of the faulty part. `null` removes the filter.
    #[schema(value_type = Option<Object>)]
    filter: Option<()>,
    /// `disabled` stops deliveries and holds the pending ones. `enabled` starts deliveries of new events again, and recovers or
    /// cancels what is held.
    #[schema(nullable = false)]
    status: Option<WebhookStatus>,
    /// What becomes of held deliveries when the webhook is enabled. `recover`, the default, sends them, oldest first. `cancel`
    /// cancels them. Only allowed together with the status `enabled`.
    #[schema(nullable = false)]
    held: Option<Held>,
}

/// Returns the schema of static headers, or `null`.
fn headers() -> RefOr<Schema> {
    let value = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(1024));
    let value = value.pattern(Some("^[!-~]([\t -~]*[!-~])?$"));
    let headers = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(Schema::from(value)))
        .max_properties(Some(HEADERS_MAX))
        .description(Some(
            "Headers that every delivery carries, by name: at most 20. Headers of the connection, `Host`, `Content-*`, \
                `User-Agent`, `Authorization` and Hookline's own headers are refused. Answers show each value as `***`; in a \
                change, a value that is sent as `***` stays as it is.",
        ))
        .examples([serde_json::json!({ "X-Api-Key": "secret" })]);
    headers.into()
}

/// How deliveries authenticate to the receiver.
#[derive(ToSchema)]
#[schema(as = NewAuth)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Auth {
    /// A user name and a password (RFC 7617).
    #[schema(title = "NewBasicAuth")]
    Basic {
        /// The user name, at most 256 characters, without a colon.
        #[schema(max_length = 256, pattern = r"^[^:\u0000-\u001f\u007f-\u009f]*$")]
        username: String,
        /// The password, at most 1,024 characters.
        #[schema(max_length = 1024, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
        password: String,
    },
    /// A fixed token (RFC 6750).
    #[schema(title = "NewBearerAuth")]
    Bearer {
        /// The token, 1 to 4,096 visible ASCII characters.
        #[schema(min_length = 1, max_length = 4096, pattern = "^[!-~]+$")]
        token: String,
    },
    /// An access token that Hookline requests with client credentials (RFC 6749, section 4.4), keeps until it expires, and
    /// requests again once after a 401.
    #[schema(title = "NewOAuth2Auth")]
    OAuth2 {
        /// Where tokens are requested. The endpoint policy applies to it as to a webhook's URL.
        token_url: EndpointUrl,
        /// The client's id.
        #[schema(min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
        client_id: String,
        /// The client's secret, at most 1,024 characters.
        #[schema(max_length = 1024, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
        client_secret: String,
        /// The scope to request, as words separated by single spaces.
        #[schema(max_length = 1024, pattern = r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$")]
        scope: Option<String>,
    },
}

/// A further signature: the HMAC-SHA256 of `content`, keyed with the secret's UTF-8 bytes like `X-Webhook-Signature`. During a
/// rotation the oldest valid secret signs.
#[derive(ToSchema)]
#[schema(as = NewSignatureHeader, examples(
    json!({ "name": "X-Hub-Signature-256", "content": "{body}", "value": "sha256={hex}" }),
    json!({ "name": "Stripe-Signature", "content": "{timestamp}.{body}", "value": "t={timestamp},v1={hex}" }),
))]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureHeader {
    /// The header's name, with the rules of `headers`.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$")]
    name: String,
    /// The signed text: any of `{id}`, `{timestamp}` and other characters, and `{body}` once. At most 256 characters.
    #[schema(max_length = 256, pattern = r"^([ -z|~]|\{(id|timestamp)\})*\{body\}([ -z|~]|\{(id|timestamp)\})*$")]
    content: String,
    /// The header's value: `{hex}` or `{base64}`, and any of `{timestamp}` and other characters. At most 256 characters.
    #[schema(
        max_length = 256,
        pattern = r"^(?! )([ -z|~]|\{(hex|base64|timestamp)\})*\{(hex|base64)\}([ -z|~]|\{(hex|base64|timestamp)\})*(?<! )$"
    )]
    value: String,
}

/// A request as a receiver got it, and what the receiver knows. Give either `body` or `body_base64`.
#[derive(ToSchema)]
#[schema(as = ReceivedRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceivedRequest {
    /// The webhook that the request was sent for. Without it, all webhooks of the account may have sent it: the newest 100.
    #[schema(value_type = Option<WebhookId>)]
    webhook_id: Option<WebhookId>,
    /// The headers by name, each with its value or an array of values: at most 200 values of at most 16 KiB, and at most 16
    /// signatures. Only those that Hookline sent matter. Names such as `HTTP_WEBHOOK_ID` are understood, too.
    #[schema(schema_with = received_headers)]
    headers: (),
    /// The body, if it is text, exactly as it was received.
    body: Option<String>,
    /// The bytes of the body in standard base64.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$")]
    body_base64: Option<String>,
    /// The secret that the receiver has, 16 to 256 characters, with its faults: it need not be valid. Without it, the secrets of the
    /// webhooks are tried alone. It is neither stored nor logged.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// When the request was received, in RFC 3339. The tolerance of `webhook-timestamp` is judged by it, or else by the recorded
    /// attempt.
    received_at: Option<String>,
    /// The signature that the receiver's own code computed, 1 to 256 characters. It is explained, too.
    #[schema(min_length = 1, max_length = 256)]
    computed: Option<String>,
}

/// Returns the schema of received headers.
fn received_headers() -> RefOr<Schema> {
    let value = || ObjectBuilder::new().schema_type(Type::String);
    let values = ArrayBuilder::new().items(value()).min_items(Some(1)).max_items(Some(diagnosis::HEADERS_MAX));
    let one_of = OneOfBuilder::new().item(value()).item(values);
    let headers = ObjectBuilder::new().additional_properties(Some(Schema::from(one_of.build())));
    headers.description(Some("The headers by name, each with its value or an array of values.")).into()
}

/// A test delivery to send.
#[derive(ToSchema)]
#[schema(as = NewTestDelivery)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTest {
    /// The webhook to send it to.
    webhook_id: WebhookId,
    /// The type whose sample is sent. It must be in the catalogue; the webhook need not subscribe to it.
    event_type: EventType,
}

/// How to rotate a secret.
#[derive(ToSchema)]
#[schema(as = SecretRotation)]
#[schema(examples(json!({ "overlap_seconds": 3600 })))]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// The new secret. Generated, as `whsec_…`, if it is missing or `null`.
    secret: Option<Secret>,
    /// How long the replaced secret goes on signing, in seconds, from 0 to 604,800 (7 days). The default is 86,400 (24 hours).
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<u32>,
}

/// What a recovery sends.
#[derive(ToSchema)]
#[schema(examples(json!({ "since": "2025-02-18T10:30:00Z" })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecovery {
    /// The beginning of the window, in RFC 3339. It must be before the end. The default is the webhook's registration, or the
    /// oldest event that is kept, if that is later or `backfill` is true. Without `backfill`, a time before the registration
    /// counts as the registration.
    since: Option<String>,
    /// The end of the window, in RFC 3339. The default is 5 seconds after the request, because the clocks of
    /// workers differ.
    until: Option<String>,
    /// Whether failed deliveries are sent again. The default is `true`.
    include_failed: Option<bool>,
    /// Whether events from before the webhook's registration are sent. The default is `false`.
    backfill: Option<bool>,
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
#[schema(as = NewEventBatch)]
#[schema(examples(json!({ "events": [{ "type": "resource.created", "data": { "object": { "id": "res_xyz789" } } }] })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBatch {
    /// The events, 1 to 100. One that is not valid does not fail the batch: its entry in the answer is a problem.
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<NewEvent>,
}

/// The published event, or the problem why it was not published.
#[derive(ToSchema)]
#[schema(as = EventBatchResult)]
#[serde(untagged)]
pub(crate) enum BatchResult {
    Event(PublishedEvent),
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
    /// What a test delivery of the type carries. The default is an empty object. It must fit the schema.
    sample: Option<NewSample>,
    /// A JSON Schema (2020-12) of the `data.object` of the type's events, as a JSON object of at most 32 KiB. A `$ref` points
    /// within it; other documents are never fetched. `format` is an annotation and not checked.
    #[schema(value_type = Option<Object>)]
    schema: Option<()>,
    /// Your name for this version of the type: 1 to 64 characters, or a whole number, which is shown as text. A type that exists
    /// is replaced by one with another version.
    version: Option<NewVersion>,
    /// What happens to an event that does not fit the schema: it is published (`off`, the default), published with `warnings` in
    /// the answer (`warn`), or refused with a 422 (`enforce`). The last two need a schema.
    validation: Option<Validation>,
}

/// The name of a version of an event type.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum NewVersion {
    Text(String),
    Number(i64),
}

/// The sample of an event type, in the form of an event.
#[derive(ToSchema)]
#[schema(as = NewEventSample)]
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
#[schema(as = AccountTokenScope)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccountScope {
    Manage,
    Publish,
}

/// A link to the portal to make.
#[derive(ToSchema)]
#[schema(examples(json!({ "read_only": true })))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPortalLink {
    /// Whether the session is read-only. The default is `false`.
    read_only: Option<bool>,
    /// Whether the session may publish events. The default is `false`. A read-only session may not, nor one whose link was made
    /// with a token without the scope `publish`.
    publish: Option<bool>,
    /// The only webhook that the session sees, with its deliveries and their events. The default is all of the account.
    webhook_id: Option<WebhookId>,
    /// How long the session lasts, in seconds. The default is 3,600.
    #[schema(minimum = 1, maximum = 86_400)]
    session_seconds: Option<u32>,
}

/// The code of a link to the portal.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPortalSession {
    /// What follows `#code=` in the link.
    code: String,
}

/// A filter to try, and an event: `event_id`, or `type` and `data`.
#[derive(ToSchema)]
#[schema(examples(json!({
    "filter": { "data": { "object": { "status": ["failed"] } } },
    "type": "payment.failed",
    "data": { "object": { "id": "pay_1", "status": "failed" } }
})))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFilterTest {
    /// The filter: an event pattern, as a webhook takes it.
    #[schema(value_type = Object)]
    filter: (),
    /// The id of an event of the account. With it, the other members are left out.
    event_id: Option<EventId>,
    /// The type of an event as it would be published.
    r#type: Option<EventType>,
    /// Its data.
    data: Option<NewEventData>,
    /// The values that an update would replace, as a JSON object.
    #[schema(value_type = Option<Object>)]
    previous_data: Option<()>,
}
