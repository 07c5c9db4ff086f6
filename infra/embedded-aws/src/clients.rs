//! SDK clients of the embedded AWS. They do not sign requests: nothing checks signatures here, and signing took a tenth of the
//! time of a call. They do everything else that the SDK does.

use super::EmbeddedAws;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        auth::{AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign},
        identity::{Identity, SharedIdentityResolver},
        orchestrator::HttpRequest,
        runtime_components::{GetIdentityResolver, RuntimeComponents},
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use store::{Clients, Lazy, capacity::Capacity};

/// The authentication scheme that every operation of these services asks for.
const SIGV4: AuthSchemeId = AuthSchemeId::new("sigv4");

impl EmbeddedAws {
    /// Creates clients that do not sign.
    pub fn clients(&self) -> Clients {
        Clients {
            dynamodb: self.dynamodb(),
            sqs: Lazy::new(self, Self::sqs),
            scheduler: Lazy::new(self, Self::scheduler),
        }
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk_config()).interceptor(Capacity);
        aws_sdk_dynamodb::Client::from_conf(config.push_auth_scheme(Unsigned).build())
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::config::Builder::from(&self.sdk_config());
        aws_sdk_sqs::Client::from_conf(config.push_auth_scheme(Unsigned).build())
    }

    fn scheduler(&self) -> aws_sdk_scheduler::Client {
        let config = aws_sdk_scheduler::config::Builder::from(&self.sdk_config());
        aws_sdk_scheduler::Client::from_conf(config.push_auth_scheme(Unsigned).build())
    }
}

/// Replaces AWS's signature scheme, and does not change requests.
#[derive(Debug)]
struct Unsigned;

impl AuthScheme for Unsigned {
    fn scheme_id(&self) -> AuthSchemeId {
        SIGV4
    }

    fn identity_resolver(&self, resolvers: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        resolvers.identity_resolver(SIGV4)
    }

    fn signer(&self) -> &dyn Sign {
        self
    }
}

impl Sign for Unsigned {
    fn sign_http_request(
        &self,
        _: &mut HttpRequest,
        _: &Identity,
        _: AuthSchemeEndpointConfig<'_>,
        _: &RuntimeComponents,
        _: &ConfigBag,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}
