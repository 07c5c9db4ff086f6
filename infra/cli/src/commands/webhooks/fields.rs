//! The options that set a webhook's fields.

use crate::{
    arguments::{Header, JsonArgument},
    client::webhooks::{Setting, WebhookFields},
    usage::UsageError,
};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json, value::RawValue};

/// The options of a webhook, when it is registered or changed.
#[derive(Clone, Debug, Args)]
pub(crate) struct FieldOptions {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The event pattern that a payload must match: JSON, a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    filter: Option<JsonArgument>,
    /// A header of every delivery, 'Name: value'. Can be repeated; replaces all earlier ones.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<Header>,
    /// How deliveries authenticate: {"type": "oauth2", …} as JSON, in a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE", group = "credentials")]
    auth: Option<JsonArgument>,
    /// Deliveries authenticate with HTTP Basic.
    #[arg(long, value_name = "USER:PASSWORD", group = "credentials")]
    auth_basic: Option<String>,
    /// Deliveries authenticate with a bearer token.
    #[arg(long, value_name = "TOKEN", group = "credentials")]
    auth_bearer: Option<String>,
    /// The wait before each attempt, such as 0s,1m,5m.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    retry_schedule: Vec<String>,
    /// The seconds that the receiver has for an attempt, 1 to 20.
    #[arg(long, value_name = "N")]
    timeout_seconds: Option<u32>,
    /// The most deliveries a second, 1 to 1,000.
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
    /// Which failed deliveries disable the webhook.
    #[arg(long, value_parser = ["failed_delivery", "no_success"])]
    disable_on: Option<String>,
    /// Whether the webhook is tried again by itself after failures have disabled it.
    #[arg(long, value_name = "BOOL")]
    auto_recover: Option<bool>,
    /// One more signature: {"name": …, "content": …, "value": …} as JSON, in a file, or - for stdin.
    #[arg(long, value_name = "JSON|FILE")]
    signature_header: Option<JsonArgument>,
}

/// An option that can be put back to its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum Resettable {
    Description,
    Filter,
    Headers,
    Auth,
    RetrySchedule,
    TimeoutSeconds,
    RateLimit,
    DisableOn,
    AutoRecover,
    SignatureHeader,
    ExpiresAt,
}

impl FieldOptions {
    /// The fields that the options set.
    pub(crate) fn fields(self) -> Result<WebhookFields, UsageError> {
        let auth = self.auth()?;
        let json = |option, argument: Option<JsonArgument>| {
            argument.map(|argument| argument.read(option).map(Setting::Value)).transpose()
        };
        Ok(WebhookFields {
            description: self.description.map(Setting::Value),
            filter: json("--filter", self.filter)?,
            headers: headers(self.headers)?.map(Setting::Value),
            auth: auth.map(Setting::Value),
            retry_schedule: (!self.retry_schedule.is_empty()).then_some(Setting::Value(self.retry_schedule)),
            timeout_seconds: self.timeout_seconds.map(Setting::Value),
            rate_limit: self.rate_limit.map(Setting::Value),
            disable_on: self.disable_on.map(Setting::Value),
            auto_recover: self.auto_recover.map(Setting::Value),
            signature_header: json("--signature-header", self.signature_header)?,
            ..WebhookFields::default()
        })
    }

    fn auth(&self) -> Result<Option<Box<RawValue>>, UsageError> {
        if let Some(argument) = &self.auth {
            return argument.read("--auth").map(Some);
        }
        if let Some(pair) = &self.auth_basic {
            let (username, password) =
                pair.split_once(':').ok_or_else(|| UsageError::new("--auth-basic must be USER:PASSWORD"))?;
            return Ok(Some(raw(&json!({"type": "basic", "username": username, "password": password}))));
        }
        let bearer = self.auth_bearer.as_ref().map(|token| raw(&json!({"type": "bearer", "token": token})));
        Ok(bearer)
    }
}

/// Puts options back to their defaults.
///
/// # Errors
/// An option is set and put back at once.
pub(crate) fn reset(fields: &mut WebhookFields, options: &[Resettable]) -> Result<(), UsageError> {
    fn to_default<T>(setting: &mut Option<Setting<T>>) -> bool {
        setting.replace(Setting::Default).is_none()
    }
    for option in options {
        let was_free = match option {
            Resettable::Description => to_default(&mut fields.description),
            Resettable::Filter => to_default(&mut fields.filter),
            Resettable::Headers => to_default(&mut fields.headers),
            Resettable::Auth => to_default(&mut fields.auth),
            Resettable::RetrySchedule => to_default(&mut fields.retry_schedule),
            Resettable::TimeoutSeconds => to_default(&mut fields.timeout_seconds),
            Resettable::RateLimit => to_default(&mut fields.rate_limit),
            Resettable::DisableOn => to_default(&mut fields.disable_on),
            Resettable::AutoRecover => to_default(&mut fields.auto_recover),
            Resettable::SignatureHeader => to_default(&mut fields.signature_header),
            Resettable::ExpiresAt => to_default(&mut fields.expires_at),
        };
        if !was_free {
            let name = option.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
            return Err(UsageError::new(format!("--reset {name}: it is set by another option, or named twice")));
        }
    }
    Ok(())
}

/// The headers as an object, or `None` if there are none.
fn headers(lines: Vec<Header>) -> Result<Option<Box<RawValue>>, UsageError> {
    let mut object = Map::new();
    for Header { name, value } in lines {
        if object.insert(name.clone(), Value::String(value)).is_some() {
            return Err(UsageError::new(format!("--header {name}: it is given twice")));
        }
    }
    Ok((!object.is_empty()).then(|| raw(&Value::Object(object))))
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("a value is JSON")
}
