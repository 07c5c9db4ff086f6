//! The peer: svix-server with its PostgreSQL and its Redis. The bench starts svix-server, and finds
//! the databases, which are running already, by the ports where they listen.

use crate::{
    http::{Answer, request},
    load::{Client, EVENT_TYPE, expect, payload},
    processes::listening_on,
    stack::Stack,
    system::System,
};
use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::process::Command;

/// The secret with which tokens are signed.
const SECRET: &str = "bench-0123456789abcdef-0123456789abcdef";
/// The organization that svix-server uses when none is named.
const ORGANIZATION: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";
/// How often a starting server is asked whether it is healthy, and how long in between.
const HEALTH_CHECKS: (u32, Duration) = (600, Duration::from_millis(100));

/// How svix-server is started.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    server: PathBuf,
    database: Url,
    redis: Url,
    /// The processes of the databases.
    databases: [u32; 2],
}

impl Peer {
    /// Finds the databases' processes.
    ///
    /// # Errors
    /// Fails unless both run on this machine, because otherwise their CPU cannot be counted.
    pub(crate) fn find(server: PathBuf, database: Url, redis: Url) -> anyhow::Result<Self> {
        let postgres = listening_on(database.port().unwrap_or(5432), &["postgres"]).context("DATABASE_URL")?;
        let redis_server = listening_on(redis.port().unwrap_or(6379), &["redis-server", "valkey-server"]);
        let databases = [postgres, redis_server.context("REDIS_URL")?];
        Ok(Self { server, database, redis, databases })
    }

    /// Starts svix-server, with a new queue, and registers an endpoint at each of `urls` in a new application.
    pub(crate) async fn start(&self, urls: Vec<String>) -> anyhow::Result<System> {
        let folder = TempDir::with_prefix("bench-svix-")?;
        // The server takes no port 0. Nobody else takes this one so soon.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let stack = Stack::run_at(self.command(&folder, address), address)?;
        let authorization = format!("Bearer {}", token(SECRET, ORGANIZATION));
        let client = Client::at(address, authorization.clone());
        healthy(&client).await?;
        let api = Api { client: &client, authorization: &authorization };
        let application = api.create("/api/v1/app", json!({"name": "bench"})).await?;
        let application = application["id"].as_str().context("an application has an id")?;
        for url in urls {
            api.create(&format!("/api/v1/app/{application}/endpoint"), json!({"url": url})).await?;
        }
        // Its answer need not repeat the event, as Hookline's does not.
        let path = format!("/api/v1/app/{application}/msg?with_content=false");
        let publish = move |number| {
            let body = format!("{{\"eventType\":\"{EVENT_TYPE}\",\"payload\":{}}}", payload(number));
            request("POST", &path, &[("Authorization", &authorization)], &body)
        };
        let roots = [&[stack.id()], &self.databases[..]].concat();
        Ok(System { client, stack, roots, publish: Arc::new(publish), folder })
    }

    /// Returns the command that starts the server: with its defaults, apart from what follows.
    fn command(&self, folder: &TempDir, address: SocketAddr) -> Command {
        let mut command = Command::new(&self.server);
        command.arg("--run-migrations").current_dir(folder.path());
        let settings = [
            ("SVIX_DB_DSN", self.database.as_str()),
            ("SVIX_REDIS_DSN", self.redis.as_str()),
            ("SVIX_QUEUE_PREFIX", &folder.path().to_string_lossy()),
            ("SVIX_JWT_SECRET", SECRET),
            ("SVIX_LISTEN_ADDRESS", &address.to_string()),
            ("SVIX_WHITELIST_SUBNETS", "[127.0.0.0/8]"),
            ("RUST_LOG", "error"),
        ];
        command.envs(settings);
        command
    }
}

/// Waits until the server answers.
async fn healthy(client: &Client) -> anyhow::Result<()> {
    let (times, pause) = HEALTH_CHECKS;
    for _ in 0..times {
        if let Ok(mut connection) = client.connect().await {
            let answer = connection.exchange(&request("GET", "/api/v1/health", &[], "")).await?;
            return expect(&answer, 200);
        }
        tokio::time::sleep(pause).await;
    }
    anyhow::bail!("svix-server does not listen")
}

/// The API of a server.
struct Api<'a> {
    client: &'a Client,
    authorization: &'a str,
}

impl Api<'_> {
    /// Creates what `body` describes, and returns it.
    async fn create(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = request("POST", path, &[("Authorization", self.authorization)], &body.to_string());
        let answer: Answer = self.client.connect().await?.exchange(&request).await?;
        expect(&answer, 201)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

/// Returns a token of `organization`, as JSON Web Token signed with HS256, which is valid until the year 2100.
fn token(secret: &str, organization: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": "svix-server", "sub": organization, "exp": 4_102_444_800_u64});
    let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC accepts a key of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts were signed with `openssl dgst -sha256 -hmac secret -binary`.
    #[test]
    fn a_token_is_a_signed_json_web_token() {
        let (header, claims) = (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
            "eyJleHAiOjQxMDI0NDQ4MDAsImlzcyI6InN2aXgtc2VydmVyIiwic3ViIjoib3JnXzEifQ",
        );
        let signature = "6NNFDxzWgE0_iSnyFcgq8ChaWQB4GgYtko9DmT3vidA";
        assert_eq!(token("secret", "org_1"), format!("{header}.{claims}.{signature}"));
    }
}
