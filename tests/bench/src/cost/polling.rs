//! Dollars of one client that polls once a second and finds nothing.

use super::{ACCOUNT, Deployment, SINGLE, Scenario, in_simulated_time, meter::Usage, prices::bill};
use crate::figures::{Table, figure};
use anyhow::Context;
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use domain::{id::WebhookId, secret::Secret, webhook::Webhook};
use std::time::Duration;
use store::webhooks;
use tower::ServiceExt;

/// The polls of an hour.
const POLLS: u32 = 3600;
/// The hours of a month of 30 days.
const MONTH: f64 = 720.0;
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

pub(crate) fn measure() -> anyhow::Result<Table> {
    let usage = in_simulated_time(poll(POLLS))?;
    let lines = bill(&usage);
    let mut table = Table::new("polling", "dollars of a poll a second that finds nothing, list prices as above");
    for (label, hours) in [("an hour", 1.0), ("a month of 30 days", MONTH)] {
        let total = lines.iter().map(|(_, dollars)| dollars * hours).sum();
        let mut figures = vec![figure("total", "$", total)];
        let used = lines.iter().filter(|(_, dollars)| *dollars > 0.0);
        figures.extend(used.map(|(name, dollars)| figure(name, "$", dollars * hours)));
        let each = |count: f64| count / f64::from(POLLS);
        figures.extend([figure("reads", "/poll", each(usage.reads as f64))]);
        figures.extend([figure("read units", "/poll", each(usage.read_units))]);
        table.row(label, figures);
    }
    Ok(table)
}

/// Makes `polls` polls, one a second, each with the cursor of the one before.
async fn poll(polls: u32) -> anyhow::Result<Usage> {
    let deployment = Deployment::with(Scenario { webhooks: 0, ..SINGLE }).await?;
    let app = &deployment.unmetered;
    let id = WebhookId::new(app.clock.now(), &app.random);
    let events = vec!["*".parse().map_err(|fault| anyhow::anyhow!("{fault:?}"))?];
    let webhook = Webhook::new(ACCOUNT.parse()?, id, None, events, Secret::generate(&app.random));
    webhooks::create(&app.store, &webhook).await?;
    let mut cursor = String::new();
    for _ in 0..polls {
        cursor = format!("?cursor={}", deployment.poll(id, &cursor).await?);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(deployment.meter.usage())
}

impl Deployment {
    /// Makes one poll through API Gateway, and returns the next cursor.
    async fn poll(&self, id: WebhookId, query: &str) -> anyhow::Result<String> {
        let request = Request::get(format!("/v1/webhooks/{id}/poll{query}"));
        let request = request.header("authorization", format!("Bearer {}", self.token)).body(Body::empty())?;
        self.meter.api_request();
        let response = self.meter.invoke("api", 0, self.router.clone().oneshot(request)).await?;
        let page: serde_json::Value = serde_json::from_slice(&to_bytes(response.into_body(), ANSWER_BYTES_MAX).await?)?;
        page["next_cursor"].as_str().map(str::to_owned).context("the answer has no cursor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_finds_nothing_writes_nothing_and_reads_little() {
        let polls = 120;
        let usage = in_simulated_time(poll(polls)).expect("the polls are answered");
        assert_eq!((usage.writes, usage.sqs_requests, usage.schedules), (0, 0, 0));
        // The token is read again every half minute.
        assert!(usage.read_units <= 10.1 * f64::from(polls), "{usage:?}");
    }
}
