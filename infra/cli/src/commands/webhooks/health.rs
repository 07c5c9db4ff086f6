//! `hookline webhooks health`.

use crate::{
    client::webhooks::WebhookHealth,
    output::{Output, moment::relative, style::Style, text::visible},
};
use std::io;

/// Prints how well the latest deliveries went.
pub(super) fn print(out: Output, health: &WebhookHealth) -> io::Result<()> {
    let or_none = |shown: Option<String>| shown.unwrap_or_else(|| "-".to_owned());
    let milliseconds = |ms: Option<u64>| or_none(ms.map(|ms| format!("{ms} ms")));
    let failure = health.last_failure.as_ref().map(|failure| {
        let answer = failure.status_code.map(|code| code.to_string()).or_else(|| failure.error.clone());
        let answer = or_none(answer);
        format!("{}: {}, {}", relative(&failure.at), visible(&answer), visible(&failure.delivery_id))
    });
    let rows = [
        ("status", out.paint(Style::of_status(&health.status), &visible(&health.status))),
        ("deliveries looked at", health.deliveries.to_string()),
        ("delivered", or_none(health.delivered_share.map(|share| format!("{:.1} %", share * 100.0)))),
        ("attempts per delivery", or_none(health.attempts_per_delivery.map(|number| format!("{number:.2}")))),
        ("latency p50", milliseconds(health.latency_ms.p50)),
        ("latency p95", milliseconds(health.latency_ms.p95)),
        ("last success", or_none(health.last_success_at.as_deref().map(relative))),
        ("last failure", or_none(failure)),
    ];
    for (name, value) in rows {
        out.line(&format!("{name:<21}  {value}"))?;
    }
    Ok(())
}
