//! Schemas for the API's OpenAPI document. Structs and enums derive their schemas. Types that are parsed from a text have
//! theirs here, with a pattern. Only the test that generates the document compiles this module.

use crate::{
    account::AccountId,
    delivery::{AttemptError, DeliveryStatus},
    endpoint_policy::EndpointUrl,
    event_type::{EventType, NAME_MAX, Subscription},
    id::{DeliveryId, EventId, RecoveryId, TokenId, WebhookId},
    secret::Secret,
};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// Returns the schema of an enum. Its description lists the words with their meanings.
fn words<const N: usize>(what: &str, words: [(&str, String); N]) -> RefOr<Schema> {
    let meanings = words.each_ref().map(|(word, meaning)| format!("- `{word}`: {meaning}")).join("\n");
    let values = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.map(|(word, _)| word)));
    values.description(Some(format!("{what}:\n\n{meanings}"))).into()
}

impl PartialSchema for DeliveryStatus {
    fn schema() -> RefOr<Schema> {
        let meaning = |status| match status {
            Self::Pending => "An attempt is due, now or at `next_attempt_at`.",
            Self::Delivered => "The receiver answered 2xx.",
            Self::Failed => "The last attempt failed, the receiver answered 410, or the event expired first.",
            Self::Held => "It waits for a disabled webhook to be enabled and recovered.",
            Self::Cancelled => "A user cancelled it, or its webhook was deleted or no longer subscribes to the type.",
        };
        words("The state of a delivery", Self::ALL.map(|status| (status.as_str(), meaning(status).to_owned())))
    }
}

impl ToSchema for DeliveryStatus {}

impl PartialSchema for AttemptError {
    fn schema() -> RefOr<Schema> {
        words("Why an attempt got no complete answer", Self::ALL.map(|error| (error.as_str(), error.to_string())))
    }
}

impl ToSchema for AttemptError {}

macro_rules! texts {
    ($($name:ident $(as $schema:literal)?, $lengths:expr, $description:literal, $pattern:expr;)+) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern));
                let text = text.min_length(Some(*$lengths.start())).max_length(Some(*$lengths.end()));
                text.description(Some($description)).into()
            }
        }

        impl ToSchema for $name {
            $(fn name() -> Cow<'static, str> {
                Cow::Borrowed($schema)
            })?
        }
    )+};
}

texts! {
    WebhookId, 29..=29, "A webhook's id.", "^wh_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    EventId, 30..=30, "An event's id.", "^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    RecoveryId, 30..=30, "A recovery's id.", "^rcv_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    TokenId, 30..=30, "A token's id. It is not the token itself.", "^tok_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    DeliveryId, 56..=56, "A delivery's id.", "^dlv_[0-7][0-9A-HJKMNP-TV-Z]{25}[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    AccountId, 1..=64, "An account's name.", "^[A-Za-z0-9_-]+$";
    EventType as "EventTypeName", 3..=NAME_MAX, "The name of an event type, such as `payment.succeeded`.",
        r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$";
    Subscription, 1..=NAME_MAX, "An event type, a prefix such as `resource.*`, or `*`.",
        r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.(\*|[A-Za-z0-9_-]+))$";
    Secret, 16..=256, "The user's own text, or `whsec_` followed by the base64 of 24 to 64 bytes.",
        // Groups of four characters, then the padded rest of one or two bytes. The unused bits of the last character are zero.
        concat!(
            "^(whsec_([A-Za-z0-9+/]{4}){8,20}",
            "(([A-Za-z0-9+/]{4})?([A-Za-z0-9+/][AQgw]==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)",
            r"|(?!whsec_)[^\u0000-\u001f\u007f-\u009f]*)$",
        );
    EndpointUrl, 9..=2048, "An `https` URL with a public host, without credentials and fragment.",
        r"^[Hh][Tt][Tt][Pp][Ss]?://[^/\s#\\\u0000-\u001f\u007f-\u009f][^\s#\\\u0000-\u001f\u007f-\u009f]*$";
}
