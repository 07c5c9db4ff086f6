//! Schemas of the library's texts, for the API's OpenAPI document. Structs and enums derive theirs; what is parsed from a
//! text has its pattern here. Only the test that makes the document links this.

use crate::{
    endpoint::EndpointUrl,
    event_type::{EventType, NAME_MAX, Subscription},
    id::{AccountId, DeliveryId, EventId, TokenId, WebhookId},
    secret::Secret,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

macro_rules! texts {
    ($($name:ident, $lengths:expr, $description:literal, $pattern:expr;)+) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern));
                let text = text.min_length(Some(*$lengths.start())).max_length(Some(*$lengths.end()));
                text.description(Some($description)).into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

texts! {
    WebhookId, 29..=29, "A webhook's id.", "^wh_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    EventId, 30..=30, "An event's id.", "^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    TokenId, 30..=30, "A token's id, which is not the token.", "^tok_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    DeliveryId, 56..=56, "A delivery's id.", "^dlv_[0-7][0-9A-HJKMNP-TV-Z]{25}[0-7][0-9A-HJKMNP-TV-Z]{25}$";
    AccountId, 1..=64, "An account's name.", "^[A-Za-z0-9_-]+$";
    EventType, 3..=NAME_MAX, "The name of an event type, such as `payment.succeeded`.",
        r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$";
    Subscription, 1..=NAME_MAX, "An event type, a prefix such as `resource.*`, or `*`.",
        r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.(\*|[A-Za-z0-9_-]+))$";
    Secret, 16..=256, "A text of the user's own, or `whsec_` and the base64 of 24 to 64 bytes.",
        // Groups of four, and at the end what one byte or two bytes more leave; no bits that stand for nothing.
        concat!(
            "^(whsec_([A-Za-z0-9+/]{4}){8,20}",
            "(([A-Za-z0-9+/]{4})?([A-Za-z0-9+/][AQgw]==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)",
            r"|(?!whsec_)[^\u0000-\u001f\u007f-\u009f]*)$",
        );
    EndpointUrl, 9..=2048, "An `https` URL without credentials and fragment, whose host is public.",
        r"^[Hh][Tt][Tt][Pp][Ss]?://[^/\s#\\\u0000-\u001f\u007f-\u009f][^\s#\\\u0000-\u001f\u007f-\u009f]*$";
}
