//! Judges each signature that a request carries.

use super::{
    Code, Evidence, Finding, Received, bodies,
    bodies::Body,
    change::{Candidate, Change},
    compare, contents,
    evidence::{Holder, Signer},
    forms::{self, Form},
    keys::{self, Keying},
    received::{BODY_HMAC, ID, STANDARD, TIMESTAMP},
    search::{self, Around, Found, Reader, SignerKey, Space, Work},
};
use crate::{
    id::WebhookId,
    time::Timestamp,
    webhook::{Webhook, options::SignatureHeader},
};

/// What every change of the body is followed by.
const BYTES_AS_THEY_ARRIVED: &str = "Check the bytes as they arrived, before anything reads, parses or writes them.";

/// One diagnosis.
pub(super) struct Judge<'a> {
    pub(super) received: &'a Received,
    pub(super) evidence: &'a Evidence,
    /// The bodies that may have been signed, the received one first.
    bodies: Vec<Body>,
    /// What made the received body of the stored one, if that is known.
    body_changes: Vec<Change>,
    pub(super) ids: Vec<Candidate<String>>,
    pub(super) timestamps: Vec<Candidate<String>>,
    /// When the request was signed, as far as it is known.
    pub(super) at: Option<Timestamp>,
    pub(super) work: Work,
    pub(super) findings: Vec<Finding>,
    /// What the first signature that was explained was made of.
    pub(super) made_of: Option<Found>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(received: &'a Received, evidence: &'a Evidence) -> Self {
        let attempts = evidence.attempts.values().flatten();
        let signed_at = received.headers.first(TIMESTAMP).and_then(|text| text.trim().parse::<i64>().ok());
        let signed_at = signed_at.map(|seconds| Timestamp::from_unix_ms(seconds.saturating_mul(1000)));
        let mut judge = Self {
            received,
            evidence,
            bodies: vec![Candidate::as_is(received.body.clone())],
            body_changes: vec![],
            ids: contents::ids(received, evidence.event.as_ref()),
            timestamps: contents::timestamps(received, attempts),
            at: signed_at.or(received.at),
            work: Work::default(),
            findings: vec![],
            made_of: None,
        };
        judge.compare_bodies();
        judge
    }

    /// Finds out what the signed body may have been.
    fn compare_bodies(&mut self) {
        let received = &self.received.body;
        let stored = self.evidence.event.as_ref().map(|event| &event.payload);
        if let Some(stored) = stored {
            let of_another = self.evidence.event_in_body.as_ref().filter(|event| event.payload == *received);
            self.body_changes = match of_another {
                Some(event) if stored != received => {
                    vec![Change::new(Code::BodyOfAnotherEvent, format!("of another event, {}", event.id))]
                }
                _ => compare::changes(stored, received),
            };
            if !self.body_changes.is_empty() {
                self.bodies.push(Candidate { value: stored.to_vec(), changes: self.body_changes.clone() });
            }
        }
        if stored.is_none_or(|stored| stored != received) {
            // What made the received body of the stored one is known better above.
            let is_other = |body: &Body| stored.is_none_or(|stored| *stored != body.value);
            self.bodies.extend(bodies::backwards(received).into_iter().filter(is_other));
        }
    }

    /// Judges every signature. Returns whether every header with signatures holds.
    pub(super) fn signatures(&mut self) -> bool {
        let headers = &self.received.headers;
        let is_present = |name| headers.first(name).is_some();
        let mut holds = vec![];
        if is_present(BODY_HMAC) {
            holds.push(self.body_hmacs());
        }
        if is_present(STANDARD) {
            holds.push(self.standard());
        }
        let own: Vec<_> = self.own_headers();
        holds.extend(own.iter().map(|(name, webhooks)| self.own_header(name, webhooks)));
        if holds.is_empty() && !self.in_other_headers() {
            let detail = "The request has no signature: neither X-Webhook-Signature nor webhook-signature.";
            self.add(Code::SignatureMissing, BODY_HMAC, detail.to_owned());
        }
        !holds.is_empty() && holds.iter().all(|holds| *holds)
    }

    pub(super) fn add(&mut self, code: Code, header: &str, detail: String) {
        self.findings.push(Finding { code, header: header.to_owned(), detail });
    }

    /// Judges `X-Webhook-Signature`.
    fn body_hmacs(&mut self) -> bool {
        let mut values = self.received.headers.body_hmacs();
        let is_repeated = values.len() > 1;
        if is_repeated {
            values = values.into_iter().map(str::trim).collect();
            self.add(
                Code::HeaderRepeated,
                BODY_HMAC,
                format!("The header has {} values. It is sent with one.", values.len()),
            );
        }
        let mut around = vec![contents::alone()];
        around.extend(contents::misplaced(&self.standard_contents(), STANDARD));
        let read = |index: usize, mac: &[u8], around: &Around| {
            forms::read(if around.is_standard { Form::Versioned } else { Form::Hex }, values[index], mac)
        };
        let found = self.find(&around, values.len(), &read);
        self.report(BODY_HMAC, found) && !is_repeated
    }

    /// The texts around the body that `webhook-signature` may be made for.
    fn standard_contents(&self) -> Vec<Candidate<Around>> {
        contents::combined(&self.ids, &self.timestamps, contents::standard)
    }

    /// Judges `webhook-signature`.
    fn standard(&mut self) -> bool {
        let (of_others, entries): (Vec<_>, Vec<_>) =
            self.received.headers.entries().into_iter().partition(|entry| has_other_version(entry));
        for entry in &of_others {
            let version: String = entry.chars().take_while(|letter| *letter != ',').take(8).collect();
            self.add(
                Code::UnknownVersion,
                STANDARD,
                format!("An entry has the version {version:?}. Verifiers of v1 ignore it."),
            );
        }
        let is_joined = self.received.headers.values(STANDARD).any(|value| value.contains(", "));
        if is_joined {
            let detail = "Several values were joined with a comma. The entries are separated by spaces.";
            self.add(Code::HeaderRepeated, STANDARD, detail.to_owned());
        }
        if entries.is_empty() {
            if of_others.is_empty() {
                self.add(Code::Unexplained, STANDARD, "The header has no entry.".to_owned());
            }
            return false;
        }
        let mut around = self.standard_contents();
        around.extend(contents::misplaced(&[contents::alone()], BODY_HMAC));
        let read = |index: usize, mac: &[u8], around: &Around| {
            forms::read(if around.is_standard { Form::Versioned } else { Form::Hex }, entries[index], mac)
        };
        let mut found = self.find(&around, entries.len(), &read);
        if found.iter().all(Option::is_none) {
            found = self.find_near(entries.len(), &read);
        }
        let signed_by = found.iter().flatten().find(|found| found.holds()).map(|found| found.holder);
        let mut holds = self.report(STANDARD, found);
        if let Some(holder) = signed_by.filter(|_| holds) {
            holds = self.within_tolerance(holder);
        }
        holds && !is_joined
    }

    /// Looks for the second that the entries were made for, near the given one or in another time zone, with the right keys alone.
    fn find_near(&mut self, count: usize, read: &Reader<'_>) -> Vec<Option<Found>> {
        let near = contents::near(self.received);
        let ids = self.ids.get(..1).unwrap_or_default();
        let around = contents::combined(ids, &near, contents::standard);
        let keys: Vec<_> = self.keys(Keying::Standard).into_iter().filter(|key| !key.key.is_changed()).collect();
        let space = Space {
            bodies: &self.bodies[..1],
            keys: [&[], &keys],
            around: &around,
            algorithms: &search::right_algorithm(),
        };
        search::find(&space, count, read, &mut self.work)
    }

    /// The headers of the webhooks' own `signature_header` that the request has, with the webhooks that have each.
    ///
    /// If the other signatures say which webhook has sent the request, it is that one alone.
    fn own_headers(&self) -> Vec<(String, Vec<&'a Webhook>)> {
        let mut found: Vec<(String, Vec<&Webhook>)> = vec![];
        let sender = self.made_of.as_ref().and_then(|made_of| made_of.holder.webhook());
        let may_be_sender = |webhook: &&Webhook| sender.is_none_or(|sender| sender == webhook.id);
        for webhook in self.evidence.webhooks.iter().filter(may_be_sender) {
            let Some(header) = &webhook.options.signature_header else { continue };
            let name = header.name.as_str().to_ascii_lowercase();
            if self.received.headers.first(&name).is_none() {
                continue;
            }
            match found.iter_mut().find(|(other, _)| *other == name) {
                Some((_, webhooks)) => webhooks.push(webhook),
                None => found.push((name, vec![webhook])),
            }
        }
        found
    }

    /// Judges a header of the webhooks' own `signature_header`.
    fn own_header(&mut self, name: &str, webhooks: &[&Webhook]) -> bool {
        let value = self.received.headers.first(name).unwrap_or_default();
        let mut best: Option<Found> = None;
        for webhook in webhooks {
            let Some(header) = &webhook.options.signature_header else { continue };
            let found = self.find_own(webhook.id, header, value);
            let is_better = |found: &Found| best.as_ref().is_none_or(|best| !best.holds() && found.holds());
            if let Some(found) = found.filter(is_better) {
                best = Some(found);
            }
        }
        self.report(name, vec![best])
    }

    fn find_own(&mut self, webhook: WebhookId, header: &SignatureHeader, value: &str) -> Option<Found> {
        let make = |id: &str, timestamp: &str| {
            let (before, after) = header.around_body(id, timestamp);
            let (before, after) = (before.into_bytes(), after.into_bytes());
            Around { before, after, timestamp: timestamp.to_owned(), ..Around::default() }
        };
        let in_value = value.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| digits.len() == 10);
        let mut timestamps = self.timestamps.clone();
        for second in
            in_value.take(2).filter(|second| timestamps.iter().all(|other| other.value != *second)).collect::<Vec<_>>()
        {
            let change =
                Change::new(Code::TimestampChanged, format!("{TIMESTAMP} was changed: it was made for {second}."));
            timestamps.push(Candidate::changed(second.to_owned(), change));
        }
        let (one, other) = (make("1", "1"), make("2", "2"));
        let is_of_body_alone = one.before == other.before && one.after == other.after;
        let is_without_timestamp = header.value_of(&[], "1") == header.value_of(&[], "2");
        let around = if is_of_body_alone && is_without_timestamp {
            vec![Candidate::as_is(make("", ""))]
        } else {
            contents::combined(&self.ids, &timestamps, make)
        };
        let keys: Vec<_> = self.keys(Keying::Text);
        let is_of_webhook = |key: &SignerKey| key.holder.webhook().is_none_or(|holder| holder == webhook);
        let keys: Vec<_> = keys.into_iter().filter(is_of_webhook).collect();
        let read = |_: usize, mac: &[u8], around: &Around| read_own(header, value, mac, &around.timestamp);
        let algorithms = search::right_algorithm();
        let space = Space { bodies: &self.bodies, keys: [&keys, &[]], around: &around, algorithms: &algorithms };
        search::find(&space, 1, &read, &mut self.work).pop().flatten()
    }

    /// Looks for signatures in headers that should have none, if the right headers are missing. Returns whether there is one.
    fn in_other_headers(&mut self) -> bool {
        let looks_signed = |value: &str| value.contains("v1,") || value.trim().len() >= 43 && value.len() <= 128;
        let others: Vec<_> = self.received.headers.all().filter(|(_, value)| looks_signed(value)).take(8).collect();
        let around = [vec![contents::alone()], self.standard_contents()].concat();
        let read = |index: usize, mac: &[u8], around: &Around| {
            let form = if around.is_standard { Form::Versioned } else { Form::Hex };
            others[index].1.split_whitespace().find_map(|value| forms::read(form, value, mac))
        };
        let found = self.find(&around, others.len(), &read);
        let explained: Vec<_> =
            found.into_iter().zip(&others).filter_map(|(found, (name, _))| Some((found?, *name))).collect();
        for (mut found, name) in explained.iter().cloned() {
            let belongs = if found.around.is_standard { STANDARD } else { BODY_HMAC };
            found
                .changes
                .push(Change::new(Code::WrongHeader, format!("It is the signature of {belongs}, in another header.")));
            self.report(name, vec![Some(found)]);
        }
        !explained.is_empty()
    }

    fn find(&mut self, around: &[Candidate<Around>], count: usize, read: &Reader<'_>) -> Vec<Option<Found>> {
        let keys = [self.keys(Keying::Text), self.keys(Keying::Standard)];
        let algorithms = search::right_algorithm();
        let space = Space { bodies: &self.bodies, keys: [&keys[0], &keys[1]], around, algorithms: &algorithms };
        search::find(&space, count, read, &mut self.work)
    }

    /// Returns the keys that may have signed: the receiver's own, those of mistakes with the secret that was given, and the others.
    fn keys(&self, keying: Keying) -> Vec<SignerKey> {
        let (mut own, mut mistaken, mut others) = (vec![], vec![], vec![]);
        for signer in self.evidence.signers() {
            let Signer { secret, holder } = signer;
            let changes = self.evidence.mistake(signer, self.at);
            let list = if changes.is_empty() { &mut own } else { &mut others };
            list.push(SignerKey { key: Candidate { value: keys::right(secret, keying), changes }, holder });
            if matches!(holder, Holder::Given(_)) {
                mistaken.extend(keys::mistaken(secret, keying).into_iter().map(|key| SignerKey { key, holder }));
            }
        }
        [own, mistaken, others].concat()
    }

    /// Adds the findings of a header's signatures. Returns whether one of them holds.
    fn report(&mut self, header: &str, found: Vec<Option<Found>>) -> bool {
        let count = found.len();
        let holds = found.iter().flatten().any(Found::holds);
        for (index, found) in found.into_iter().enumerate() {
            let entry = if count > 1 { format!("Entry {}: ", index + 1) } else { String::new() };
            match &found {
                Some(found) if found.holds() => {
                    self.add(Code::Valid, header, format!("{entry}{}", self.evidence.made_with(found.holder)));
                }
                Some(found) => {
                    for change in &found.changes {
                        self.add(change.code, header, format!("{entry}{}", change.what));
                    }
                    self.add_body_changes(header, &entry, &found.body_changes);
                }
                None => self.add_unexplained(header, &entry, holds),
            }
            self.made_of = self.made_of.take().or(found);
        }
        holds
    }

    fn add_body_changes(&mut self, header: &str, entry: &str, changes: &[Change]) {
        for change in changes {
            let detail = format!("{entry}The body is the signed one {}. {BYTES_AS_THEY_ARRIVED}", change.what);
            self.add(change.code, header, detail);
        }
    }

    /// Adds what is known for certain about a signature that nothing reproduces.
    fn add_unexplained(&mut self, header: &str, entry: &str, another_holds: bool) {
        let missing: Vec<_> =
            [ID, TIMESTAMP].into_iter().filter(|name| self.received.headers.first(name).is_none()).collect();
        if header == STANDARD && !missing.is_empty() {
            for name in missing {
                self.add(
                    Code::HeaderMissing,
                    header,
                    format!("{entry}{name} is missing, which is part of what is signed."),
                );
            }
            return;
        }
        let changes = self.body_changes.clone();
        let body = match (&self.evidence.event, changes.is_empty()) {
            _ if another_holds => "Another entry of the header holds, which is enough.",
            (Some(_), true) => "The body is the one that was sent, to the byte: compare the secret, then the headers.",
            (Some(_), false) => "It is not explained by the stored body either: compare the secret, too.",
            (None, _) => {
                "It was made with another secret, or for another body or other headers. Compare the secret first."
            }
        };
        for change in &changes {
            let detail = format!("{entry}The body is the stored one {}. {BYTES_AS_THEY_ARRIVED}", change.what);
            self.add(change.code, header, detail);
        }
        let bound = if self.work.is_used_up { " The search ended at its bound." } else { "" };
        self.add(
            Code::Unexplained,
            header,
            format!("{entry}Nothing that was tried reproduces the signature. {body}{bound}"),
        );
    }

    /// Checks that the timestamp, which was signed, is near the time when the request was received. Otherwise the findings of the
    /// entries that hold say so.
    fn within_tolerance(&mut self, holder: Holder) -> bool {
        let Some(signed_at) = self.at else { return true };
        let attempt = contents::recorded_attempt(self.received, self.evidence, holder.webhook());
        let Some(detail) = contents::out_of_tolerance(signed_at, self.received.at, attempt) else { return true };
        for finding in &mut self.findings {
            if finding.code == Code::Valid && finding.header == STANDARD {
                finding.code = Code::TimestampOutOfTolerance;
                finding.detail = format!("{} {detail}", finding.detail);
            }
        }
        false
    }
}

/// Whether an entry has a version, such as `v1a` or `v2`, that is not `v1`.
fn has_other_version(entry: &str) -> bool {
    let Some((version, _)) = entry.split_once(',') else { return false };
    let Some(number) = version.strip_prefix('v') else { return false };
    version != "v1" && number.starts_with(|letter: char| letter.is_ascii_digit())
}

/// Compares the value of a webhook's own header with the right one, and with those of common mistakes.
fn read_own(header: &SignatureHeader, value: &str, mac: &[u8], timestamp: &str) -> Option<Vec<Change>> {
    let right = header.value_of(mac, timestamp);
    let is = |one: &str, other: &str| forms::same(one.as_bytes(), other.as_bytes());
    let bare = value.trim().trim_matches(['"', '\'']);
    let around =
        (bare != value).then(|| Change::new(Code::FormatChanged, "It has white space or quotation marks around it."));
    if is(bare, &right) {
        return Some(around.into_iter().collect());
    }
    if is(&bare.to_ascii_lowercase(), &right.to_ascii_lowercase()) {
        let case = Change::new(Code::CaseChanged, "Its letters were changed to upper or lower case.");
        return Some(around.into_iter().chain([case]).collect());
    }
    let alone = forms::read(Form::Any, bare, mac)?;
    let detail =
        format!("It is the bare signature. The webhook's signature_header has it as {}.", header.value.as_str());
    Some(std::iter::once(Change::new(Code::FormatChanged, detail)).chain(alone).collect())
}
