//! Filters: whether an event passes a webhook's filter. Fan-out, recoveries, attempts and lists all ask here.
//!
//! A compiled filter is kept in memory under its own text, so that webhooks with the same filter share it and a changed one is
//! compiled anew. A filter that cannot be compiled, because another version stored it, lets every event pass: a receiver can
//! ignore an event, but nobody can send one that was lost.

use bytes::Bytes;
use domain::{
    filter::{Document, Explanation, Filter, Pattern},
    webhook::Webhook,
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The most bytes of text of the filters that are kept. A compiled filter may take some thirty times its text.
const BYTES_MAX: usize = 512 * 1024;
/// The most filters that are kept, because each takes memory beside its text.
const FILTERS_MAX: usize = 2048;

/// The filters that this process has used lately. Cloned freely: clones share them.
#[derive(Clone, Default)]
pub struct Filters(Arc<Mutex<Kept>>);

/// The oldest filter makes room for a new one.
#[derive(Default)]
struct Kept {
    /// `None` for a filter that cannot be compiled.
    patterns: HashMap<Filter, Option<Arc<Pattern>>>,
    order: VecDeque<Filter>,
    bytes: usize,
}

impl Filters {
    /// Returns the matcher of an event. `payload` may be `None` if no webhook with a filter is asked about. Without it, every event
    /// passes.
    pub fn matcher<'a>(&'a self, payload: Option<&'a Bytes>) -> Matcher<'a> {
        Matcher { filters: self, payload, document: OnceLock::new() }
    }

    /// Returns the compiled filter of `webhook`, or `None` if it cannot be compiled.
    fn compiled(&self, webhook: &Webhook, filter: &Filter) -> Option<Arc<Pattern>> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = lock().patterns.get(filter) {
            return pattern.clone();
        }
        let pattern = filter.compile().ok().map(Arc::new);
        if pattern.is_none() {
            tracing::error!(
                account = %webhook.account, webhook_id = %webhook.id,
                "the stored filter cannot be compiled, so every event passes it"
            );
        }
        lock().keep(filter, pattern.clone());
        pattern
    }
}

impl Kept {
    fn keep(&mut self, filter: &Filter, pattern: Option<Arc<Pattern>>) {
        if self.patterns.insert(filter.clone(), pattern).is_some() {
            return; // another thread was faster
        }
        self.bytes += filter.as_str().len();
        self.order.push_back(filter.clone());
        while self.bytes > BYTES_MAX || self.patterns.len() > FILTERS_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.patterns.remove(&oldest);
            self.bytes -= oldest.as_str().len();
        }
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters").finish_non_exhaustive()
    }
}

/// Matches one event with filters. Its payload is parsed once, and only if a webhook has a filter.
#[derive(Debug)]
pub struct Matcher<'a> {
    filters: &'a Filters,
    payload: Option<&'a Bytes>,
    document: OnceLock<Option<Document<'a>>>,
}

impl Matcher<'_> {
    /// Whether the event passes the webhook's filter.
    pub fn passes(&self, webhook: &Webhook) -> bool {
        self.parts(webhook).is_none_or(|(pattern, document)| pattern.matches(document))
    }

    /// Returns why the event does not pass the webhook's filter, or `None` if it passes.
    pub fn explain(&self, webhook: &Webhook) -> Option<Explanation> {
        self.parts(webhook).and_then(|(pattern, document)| pattern.explain(document))
    }

    /// Returns the webhook's filter and the event, or `None` if the event passes without being matched.
    fn parts(&self, webhook: &Webhook) -> Option<(Arc<Pattern>, &Document<'_>)> {
        let filter = webhook.filter.as_ref()?;
        let document = self.document.get_or_init(|| Document::parse(self.payload?)).as_ref()?;
        Some((self.filters.compiled(webhook, filter)?, document))
    }

    /// Returns those of `webhooks` whose filter the event passes. Each distinct filter is evaluated once.
    pub fn passing<'w>(&self, webhooks: impl Iterator<Item = &'w Webhook>) -> Vec<&'w Webhook> {
        let mut known: HashMap<&Filter, bool> = HashMap::new();
        let mut passes = |webhook: &&'w Webhook| match &webhook.filter {
            Some(filter) => *known.entry(filter).or_insert_with(|| self.passes(webhook)),
            None => true,
        };
        webhooks.filter(|webhook| passes(webhook)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{endpoint_policy::EndpointPolicy, id::WebhookId, secret::Secret, time::Timestamp};

    const PAYLOAD: &[u8] = br#"{"type":"a.b","data":{"object":{"n":1}},"previous_data":null}"#;

    fn webhook(filter: Option<&str>) -> Webhook {
        let url = EndpointPolicy::Strict.judge_url("https://receiver.example/").expect("a URL");
        let secret = Secret::parse("sixteen characters").expect("a secret");
        let id = WebhookId::first_at(Timestamp::EPOCH);
        let mut webhook = Webhook::new("acme".parse().expect("a name"), id, url, vec![], secret);
        webhook.filter = filter.map(|text| serde_json::from_value(text.into()).expect("a text"));
        webhook
    }

    fn number(n: usize) -> String {
        format!(r#"{{"data":{{"object":{{"n":[{n}]}}}}}}"#)
    }

    #[test]
    fn a_webhook_without_a_filter_gets_every_event() {
        let (filters, payload) = (Filters::default(), Bytes::from_static(PAYLOAD));
        let matcher = filters.matcher(Some(&payload));
        assert!(matcher.passes(&webhook(None)));
        assert!(matcher.document.get().is_none(), "the payload is parsed only for a filter");
        assert!(matcher.passes(&webhook(Some(&number(1)))) && !matcher.passes(&webhook(Some(&number(2)))));
    }

    #[test]
    fn each_distinct_filter_is_compiled_once() {
        let (filters, payload) = (Filters::default(), Bytes::from_static(PAYLOAD));
        let webhooks: Vec<_> = (0..9).map(|index| webhook(Some(&number(index % 3)))).collect();
        assert_eq!(filters.matcher(Some(&payload)).passing(webhooks.iter()).len(), 3);
        assert_eq!(filters.0.lock().expect("no panic").patterns.len(), 3);
    }

    #[test]
    fn what_cannot_be_judged_passes() {
        let (filters, payload) = (Filters::default(), Bytes::from_static(PAYLOAD));
        let of_another_version = webhook(Some(r#"{"data":{"object":{"n":[{"later":1}]}}}"#));
        assert!(filters.matcher(Some(&payload)).passes(&of_another_version));
        assert!(filters.matcher(Some(&payload)).passes(&of_another_version), "also from the cache");
        assert!(filters.matcher(None).passes(&webhook(Some(&number(2)))));
        assert!(filters.matcher(Some(&Bytes::from_static(b"{"))).passes(&webhook(Some(&number(2)))));
    }

    #[test]
    fn the_filters_kept_are_bounded_in_number_and_in_bytes() {
        let (filters, payload) = (Filters::default(), Bytes::from_static(PAYLOAD));
        let matcher = filters.matcher(Some(&payload));
        for n in 0..FILTERS_MAX + 10 {
            matcher.passes(&webhook(Some(&number(n))));
        }
        assert_eq!(filters.0.lock().expect("no panic").patterns.len(), FILTERS_MAX);
        for n in 0..300 {
            matcher.passes(&webhook(Some(&format!(r#"{{"type":["{n}{}"]}}"#, "x".repeat(3000)))));
        }
        let kept = filters.0.lock().expect("no panic");
        assert!(kept.bytes <= BYTES_MAX && kept.patterns.len() < 300, "{} {}", kept.bytes, kept.patterns.len());
        assert_eq!(kept.order.len(), kept.patterns.len());
    }
}
