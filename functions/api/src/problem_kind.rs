//! The kinds of problems. A kind fixes the `type`, the status and the title of its documents. `infra/docs/reference.md` lists them.

use axum::http::StatusCode;

/// Defines [`Kind`] from a table: the end of the `type`, the status, and the title.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident: $text:literal, $status:ident, $title:literal;)+) => {
        /// A kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// Every kind.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the end of the document's `type`, such as `not-found`.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Returns the HTTP status.
            pub(crate) fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                }
            }

            /// Returns the title, which is the same for every problem of this kind.
            pub(crate) fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                }
            }
        }
    };
}

kinds! {
    /// The body is not JSON, or a header is malformed.
    Malformed: "malformed", BAD_REQUEST, "Malformed request";
    /// The route does not take an `Idempotency-Key`.
    IdempotencyKeyNotTaken: "idempotency-key-not-taken", BAD_REQUEST, "Idempotency key not taken";
    /// The request has no valid token.
    Unauthorized: "unauthorized", UNAUTHORIZED, "Unauthorized";
    /// The token does not allow the request.
    Forbidden: "forbidden", FORBIDDEN, "Forbidden";
    /// The path is unknown, or the account has no such object.
    NotFound: "not-found", NOT_FOUND, "Not found";
    /// The path does not support the method.
    MethodNotAllowed: "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// The state of an object does not allow the request.
    Conflict: "conflict", CONFLICT, "Conflict";
    /// The webhook is disabled.
    WebhookDisabled: "webhook-disabled", CONFLICT, "Webhook disabled";
    /// An object of this name exists.
    AlreadyExists: "already-exists", CONFLICT, "Already exists";
    /// Too many requests change the object at once. A retry may succeed.
    ConcurrentChange: "concurrent-change", CONFLICT, "Concurrent change";
    /// There are already as many objects as the quota allows.
    QuotaExceeded: "quota-exceeded", CONFLICT, "Quota exceeded";
    /// The body is too large.
    TooLarge: "too-large", PAYLOAD_TOO_LARGE, "Content too large";
    /// The body is not JSON by its `Content-Type`.
    UnsupportedMediaType: "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";
    /// The body is compressed.
    UnsupportedContentEncoding: "unsupported-content-encoding", UNSUPPORTED_MEDIA_TYPE, "Unsupported content encoding";
    /// The request is well-formed, but breaks rules.
    Invalid: "invalid", UNPROCESSABLE_ENTITY, "Unprocessable content";
    /// The `Idempotency-Key` was used for a different request.
    IdempotencyKeyReused: "idempotency-key-reused", UNPROCESSABLE_ENTITY, "Idempotency key reused";
    /// The account has reached its publish limit, or its limit of requests to debug.
    TooManyRequests: "too-many-requests", TOO_MANY_REQUESTS, "Too many requests";
    /// The request failed for a reason that is logged and not sent.
    Internal: "internal", INTERNAL_SERVER_ERROR, "Internal server error";
    /// AWS has throttled the request.
    Unavailable: "unavailable", SERVICE_UNAVAILABLE, "Service unavailable";
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONCEPTS: &str = include_str!("../../../infra/docs/concepts.md");

    #[test]
    fn the_documents_list_every_kind_with_its_status() {
        let errors =
            CONCEPTS.split("\n## ").find(|section| section.starts_with("Errors")).expect("a section on errors");
        let rows = errors.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5"));
        let listed: Vec<_> = rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" | ")).collect();
        let kinds = Kind::ALL.iter().map(|kind| format!("| {} | `{}`", kind.status().as_u16(), kind.name()));
        assert_eq!(listed, kinds.collect::<Vec<_>>());
    }
}
