//! The routes of the API, each with its name in `infra/openapi.json`. A test compares the two.

use http::Method;

/// A route of the API.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its `operationId`.
    pub(crate) id: &'static str,
    /// Its HTTP method.
    pub(crate) method: Method,
    /// Its path, with a name in braces for each id.
    pub(crate) path: &'static str,
}

/// Defines a constant for each operation, and in tests the list of all.
macro_rules! operations {
    ($($name:ident: $id:literal, $method:ident $path:literal;)+) => {
        $(pub(super) const $name: Operation = Operation { id: $id, method: Method::$method, path: $path };)+

        #[cfg(test)]
        pub(crate) const ALL: &[Operation] = &[$($name),+];
    };
}

operations! {
    READ_HEALTHZ: "readHealthz", GET "/healthz";
    READ_OPENAPI: "readOpenapi", GET "/v1/openapi.json";
    LIST_WEBHOOKS: "listWebhooks", GET "/v1/webhooks";
    CREATE_WEBHOOK: "createWebhook", POST "/v1/webhooks";
    READ_WEBHOOK: "readWebhook", GET "/v1/webhooks/{id}";
    UPDATE_WEBHOOK: "updateWebhook", PATCH "/v1/webhooks/{id}";
    DELETE_WEBHOOK: "deleteWebhook", DELETE "/v1/webhooks/{id}";
    TEST_WEBHOOK: "testWebhook", POST "/v1/webhooks/test";
    ROTATE_SECRET: "rotateSecret", POST "/v1/webhooks/{id}/rotate-secret";
    FINISH_ROTATION: "finishRotation", POST "/v1/webhooks/{id}/rotate-secret/finish";
    RECOVER_WEBHOOK: "recoverWebhook", POST "/v1/webhooks/{id}/recover";
    LIST_RECOVERIES: "listRecoveries", GET "/v1/webhooks/{id}/recoveries";
    READ_RECOVERY: "readRecovery", GET "/v1/webhooks/{id}/recoveries/{recovery_id}";
    READ_HEALTH: "readHealth", GET "/v1/webhooks/{id}/health";
    POLL_WEBHOOK: "pollWebhook", GET "/v1/webhooks/{id}/poll";
    LIST_DELIVERIES: "listDeliveries", GET "/v1/webhooks/{id}/deliveries";
    READ_DELIVERY: "readDelivery", GET "/v1/deliveries/{id}";
    READ_DELIVERY_REQUEST: "readDeliveryRequest", GET "/v1/deliveries/{id}/request";
    RETRY_DELIVERY: "retryDelivery", POST "/v1/deliveries/{id}/retry";
    CANCEL_DELIVERY: "cancelDelivery", POST "/v1/deliveries/{id}/cancel";
    LIST_EVENTS: "listEvents", GET "/v1/events";
    READ_EVENT: "readEvent", GET "/v1/events/{id}";
    PUBLISH_EVENT: "publishEvent", POST "/v1/events";
    PUBLISH_EVENTS: "publishEvents", POST "/v1/events/batch";
    DRY_RUN_EVENT: "dryRunEvent", POST "/v1/events/dry-run";
    LIST_EVENT_TYPES: "listEventTypes", GET "/v1/event-types";
    CREATE_EVENT_TYPE: "createEventType", POST "/v1/event-types";
    DELETE_EVENT_TYPE: "deleteEventType", DELETE "/v1/event-types/{name}";
    DEBUG_SIGNATURES: "debugSignatures", POST "/v1/signatures/debug";
    TEST_FILTER: "testFilter", POST "/v1/filters/test";
    CREATE_PORTAL_LINK: "createPortalLink", POST "/v1/portal-links";
    LIST_TOKENS: "listTokens", GET "/v1/tokens";
    CREATE_TOKEN: "createToken", POST "/v1/tokens";
    DELETE_TOKEN: "deleteToken", DELETE "/v1/tokens/{id}";
}
