//! The options of a webhook in bodies: read from the body, then applied to the options that are stored. A credential that a body
//! gives as `***` stays as it is stored, so a client can change what it has read and send it back.

use crate::fields;
use domain::{
    backoff::{RetrySchedule, WEBHOOK_STEPS_MAX, Wait},
    credential::{Credential, HIDDEN},
    endpoint_policy::{EndpointPolicy, EndpointUrl},
    input::{self, Faulted, Faults, Fields},
    webhook::options::{
        self, Auth, BasicAuth, ClientCredentials, DisableOn, HEADERS_MAX, HeaderName, Options, SignatureHeader,
        StaticHeader, Template,
    },
};
use serde_json::value::RawValue;

/// The options that a body sets. `None` leaves an option as it is, and `Some(None)` puts its default back.
#[allow(clippy::option_option, reason = "an option in a body is missing, null, or a value")]
pub(crate) struct OptionChanges {
    headers: Option<Option<Vec<HeaderChange>>>,
    auth: Option<Option<AuthChange>>,
    retry_schedule: Option<Option<RetrySchedule>>,
    timeout_seconds: Option<Option<u32>>,
    signature_header: Option<Option<SignatureHeader>>,
    disable_on: Option<Option<DisableOn>>,
    auto_recover: Option<Option<bool>>,
}

/// A credential in a body: a new one, or `None` for the one that is stored.
type CredentialChange = Option<Credential>;

struct HeaderChange {
    name: HeaderName,
    value: CredentialChange,
}

enum AuthChange {
    Basic { username: String, password: CredentialChange },
    Bearer { token: CredentialChange },
    OAuth2 { token_url: EndpointUrl, client_id: String, client_secret: CredentialChange, scope: Option<String> },
}

impl OptionChanges {
    /// Reads the options among `fields`.
    pub(crate) fn read(fields: &mut Fields, policy: EndpointPolicy) -> Result<Self, Faulted> {
        let headers = fields.nullable("headers", headers);
        let auth = fields.nullable("auth", |raw| auth(policy, raw));
        let retry_schedule = fields.nullable("retry_schedule", retry_schedule);
        let timeout_seconds =
            fields.nullable("timeout_seconds", |raw| Ok(options::parse_timeout(input::integer(raw)?)?));
        let signature_header = fields.nullable("signature_header", signature_header);
        let disable_on = fields.nullable("disable_on", disable_on);
        let auto_recover = fields.nullable("auto_recover", input::boolean);
        Ok(Self {
            headers: headers?,
            auth: auth?,
            retry_schedule: retry_schedule?,
            timeout_seconds: timeout_seconds?,
            signature_header: signature_header?,
            disable_on: disable_on?,
            auto_recover: auto_recover?,
        })
    }

    /// Whether the body sets `auto_recover`.
    pub(crate) fn sets_auto_recover(&self) -> bool {
        self.auto_recover.is_some()
    }

    /// Applies the changes to the stored `options`.
    ///
    /// # Errors
    /// The faults of a body that refers to credentials that are not stored, or sets one header twice.
    pub(crate) fn apply(&self, options: &mut Options) -> Result<(), Faults> {
        let mut faults = Faults::default();
        if let Some(headers) = &self.headers {
            match with_values(headers.as_deref().unwrap_or_default(), &options.headers) {
                Ok(headers) => options.headers = headers,
                Err(missing) => faults.extend("/headers", missing),
            }
        }
        if let Some(auth) = &self.auth {
            match auth.as_ref().map(|auth| auth.with_credentials(options.auth.as_ref())).transpose() {
                Ok(auth) => options.auth = auth,
                Err(missing) => faults.extend("/auth", missing),
            }
        }
        set(&mut options.retry_schedule, self.retry_schedule.as_ref());
        set(&mut options.timeout_seconds, self.timeout_seconds.as_ref());
        set(&mut options.signature_header, self.signature_header.as_ref());
        if let Some(disable_on) = self.disable_on {
            options.disable_on = disable_on.unwrap_or_default();
        }
        set(&mut options.auto_recover, self.auto_recover.as_ref());
        if options.sets_signature_header_twice() {
            faults.extend("/signature_header/name", "must not be one of 'headers'".into());
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// Sets `field` if there is a value.
pub(crate) fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

fn nothing_stored() -> Faults {
    format!("must be a new value: '{HIDDEN}' stands for a stored one, and none is stored").into()
}

/// Returns `changes` with the stored values where they keep them.
fn with_values(changes: &[HeaderChange], stored: &[StaticHeader]) -> Result<Vec<StaticHeader>, Faults> {
    let (mut headers, mut faults) = (Vec::with_capacity(changes.len()), Faults::default());
    for HeaderChange { name, value } in changes {
        let kept = || stored.iter().find(|header| header.name == *name).map(|header| header.value.clone());
        match value.clone().or_else(kept) {
            Some(value) => headers.push(StaticHeader { name: name.clone(), value }),
            None => faults.extend(input::pointer(name.as_str()), nothing_stored()),
        }
    }
    if faults.is_empty() { Ok(headers) } else { Err(faults) }
}

impl AuthChange {
    /// Returns the authentication with the stored credential, if the change keeps it.
    fn with_credentials(&self, stored: Option<&Auth>) -> Result<Auth, Faults> {
        let value = |change: &CredentialChange, kept: Option<&Credential>, member: &str| {
            change.as_ref().or(kept).cloned().ok_or_else(|| nothing_stored().within(member))
        };
        Ok(match self {
            Self::Basic { username, password } => {
                let kept = match stored {
                    Some(Auth::Basic(stored)) => Some(&stored.password),
                    _ => None,
                };
                let password = value(password, kept, "/password")?;
                Auth::Basic(BasicAuth { username: username.clone(), password })
            }
            Self::Bearer { token } => {
                let kept = match stored {
                    Some(Auth::Bearer { token }) => Some(token),
                    _ => None,
                };
                Auth::Bearer { token: value(token, kept, "/token")? }
            }
            Self::OAuth2 { token_url, client_id, client_secret, scope } => {
                let kept = match stored {
                    // A secret goes to no other host than the one that it was given for.
                    Some(Auth::OAuth2(stored)) if stored.token_url.target() == token_url.target() => {
                        Some(&stored.client_secret)
                    }
                    _ => None,
                };
                Auth::OAuth2(ClientCredentials {
                    token_url: token_url.clone(),
                    client_id: client_id.clone(),
                    client_secret: value(client_secret, kept, "/client_secret")?,
                    scope: scope.clone(),
                })
            }
        })
    }
}

/// Reads a credential with `parse`, or `***`.
fn credential(
    raw: &RawValue,
    parse: impl FnOnce(&str) -> Result<Credential, String>,
) -> Result<CredentialChange, Faults> {
    let text = input::string(raw)?;
    if text == HIDDEN { Ok(None) } else { Ok(Some(parse(&text)?)) }
}

/// Reads `{name: value, …}`.
fn headers(raw: &RawValue) -> Result<Vec<HeaderChange>, Faults> {
    let headers = Fields::of(raw)?.entries(HEADERS_MAX, |name, raw| {
        let name: HeaderName = name.parse()?;
        Ok(HeaderChange { name, value: credential(raw, options::parse_value)? })
    })?;
    let mut faults = Faults::default();
    for (index, header) in headers.iter().enumerate() {
        if headers[..index].iter().any(|earlier| earlier.name == header.name) {
            faults.extend(input::pointer(header.name.as_str()), "is given twice: names are equal in any case".into());
        }
    }
    if faults.is_empty() { Ok(headers) } else { Err(faults) }
}

/// Reads `{type, …}`.
fn auth(policy: EndpointPolicy, raw: &RawValue) -> Result<AuthChange, Faults> {
    let mut fields = Fields::of(raw)?;
    let known = "must be 'basic', 'bearer' or 'oauth2'";
    let kind = fields.peek("type").ok_or_else(|| Faults::at("/type", "is required"))?;
    let kind = input::string(kind).map_err(|_| Faults::at("/type", known))?;
    let _ = fields.optional("type", input::string);
    match kind.as_str() {
        "basic" => {
            let username = fields.required("username", |raw| Ok(options::parse_username(&input::string(raw)?)?));
            let password = fields.required("password", |raw| credential(raw, options::parse_password));
            fields.finish_part(|| Ok(AuthChange::Basic { username: username?, password: password? }))
        }
        "bearer" => {
            let token = fields.required("token", |raw| credential(raw, options::parse_token));
            fields.finish_part(|| Ok(AuthChange::Bearer { token: token? }))
        }
        "oauth2" => {
            let token_url = fields.required("token_url", |raw| fields::url(policy, raw));
            let client_id = fields.required("client_id", |raw| Ok(options::parse_client_id(&input::string(raw)?)?));
            let client_secret = fields.required("client_secret", |raw| credential(raw, options::parse_password));
            let scope = fields.optional("scope", |raw| Ok(options::parse_scope(&input::string(raw)?)?));
            fields.finish_part(|| {
                Ok(AuthChange::OAuth2 {
                    token_url: token_url?,
                    client_id: client_id?,
                    client_secret: client_secret?,
                    scope: scope?,
                })
            })
        }
        _ => Err(Faults::at("/type", known)),
    }
}

/// Reads the waits of a retry schedule.
fn retry_schedule(raw: &RawValue) -> Result<RetrySchedule, Faults> {
    let waits = input::array(raw, WEBHOOK_STEPS_MAX, input::parsed::<Wait>)?;
    Ok(RetrySchedule::of_webhook(waits)?)
}

/// Reads `{name, content, value}`.
fn signature_header(raw: &RawValue) -> Result<SignatureHeader, Faults> {
    let mut fields = Fields::of(raw)?;
    let name = fields.required("name", input::parsed::<HeaderName>);
    let content = fields.required("content", |raw| Ok(Template::parse_content(&input::string(raw)?)?));
    let value = fields.required("value", |raw| Ok(Template::parse_value(&input::string(raw)?)?));
    fields.finish_part(|| Ok(SignatureHeader { name: name?, content: content?, value: value? }))
}

/// Reads which failed deliveries disable the webhook.
fn disable_on(raw: &RawValue) -> Result<DisableOn, Faults> {
    let word = input::string(raw)?;
    let known = [DisableOn::FailedDelivery, DisableOn::NoSuccess].into_iter().find(|known| known.as_str() == word);
    known.ok_or_else(|| "must be 'failed_delivery' or 'no_success'".into())
}
