//! Judges what the receiver's own code computed: which mistake of the receiver makes exactly that value of the signed body.

use super::{
    COMPUTED, Code, bodies,
    bodies::Body,
    change::{Candidate, Change},
    compare, contents,
    evidence::{Evidence, Holder, Signer},
    forms::{self, Form},
    judge::Judge,
    keys::{self, Keying},
    search::{self, Algorithm, Around, Found, SignerKey, Space},
};

impl Judge<'_> {
    /// Judges what the receiver's own code computed.
    pub(super) fn computed(&mut self) {
        let Some(computed) = &self.received.computed else { return };
        let signed = self.made_of.as_ref().map(|made_of| made_of.body.clone());
        let stored = self.evidence.event.as_ref().map(|event| event.payload.to_vec());
        let signed = signed.or(stored).unwrap_or_else(|| self.received.body.clone());
        let bodies = self.bodies_of(&signed);
        // What the sender has signed with is what the receiver should use, unless it has another secret.
        let sender = self.made_of.as_ref().and_then(|made_of| made_of.holder.webhook());
        let evidence = Evidence { asked: self.evidence.asked.or(sender), ..self.evidence.clone() };
        let keys = [Keying::Text, Keying::Standard].map(|keying| keys_of(&evidence, self.at, keying));
        let around = self.contents();
        let algorithms = algorithms();
        let space = Space { bodies: &bodies, keys: [&keys[0], &keys[1]], around: &around, algorithms: &algorithms };
        let read = |_: usize, mac: &[u8], around: &Around| {
            forms::read(if around.is_standard { Form::Base64 } else { Form::Hex }, computed, mac)
        };
        match search::find(&space, 1, &read, &mut self.work).pop().flatten() {
            Some(found) => self.add_computed(&found),
            None => {
                let bound = if self.work.is_used_up { " The search ended at its bound." } else { "" };
                let detail = format!("No mistake that was tried makes this value of the signed body.{bound}");
                self.add(Code::Unexplained, COMPUTED, detail);
            }
        }
    }

    /// The bodies that the receiver's code may have signed.
    fn bodies_of(&self, signed: &[u8]) -> Vec<Body> {
        let mut all = vec![Candidate::as_is(signed.to_vec())];
        let received = &self.received.body;
        if received != signed {
            all.push(Candidate { value: received.clone(), changes: compare::changes(signed, received) });
        }
        all.extend(bodies::forwards(signed));
        all
    }

    /// What the receiver's code may have signed around the body.
    fn contents(&self) -> Vec<Candidate<Around>> {
        let mut all = vec![contents::alone()];
        all.extend(contents::combined(&self.ids, &self.timestamps, contents::standard));
        let (Some(id), Some(timestamp)) = (self.ids.first(), self.timestamps.first()) else { return all };
        let (id, timestamp) = (&id.value, &timestamp.value);
        for (before, what) in [
            (String::new(), "the body alone"),
            (format!("{timestamp}."), "the timestamp and the body, without the id"),
            (format!("{id}."), "the id and the body, without the timestamp"),
            (format!("{timestamp}.{id}."), "the timestamp before the id"),
            (format!("{id}{timestamp}"), "id, timestamp and body without dots between them"),
            (format!("{id}:{timestamp}:"), "id, timestamp and body with colons between them"),
            (format!("{id}\n{timestamp}\n"), "id, timestamp and body with line breaks between them"),
        ] {
            let detail = format!(
                "It was made for {what}. For webhook-signature, sign the id, a dot, the timestamp, a dot and the body."
            );
            let change = Change::new(Code::WrongContent, detail);
            for keying in [Keying::Standard, Keying::Text] {
                let value =
                    Around { before: before.clone().into_bytes(), keying, is_standard: true, ..Around::default() };
                if all.iter().all(|other| other.value != value) {
                    all.push(Candidate::changed(value, change.clone()));
                }
            }
        }
        let detail = "It was made for id, timestamp and body with the key of X-Webhook-Signature. The key of webhook-signature is what \
            follows whsec_, decoded from base64.";
        let value = Around { keying: Keying::Text, ..contents::standard(id, timestamp) };
        all.push(Candidate::changed(value, Change::new(Code::SecretNotDecoded, detail)));
        all
    }

    fn add_computed(&mut self, found: &Found) {
        let is_alone = !found.around.is_standard;
        if found.holds() {
            let header = if is_alone { "X-Webhook-Signature" } else { "an entry of webhook-signature" };
            let detail =
                format!("It is the right signature, as in {header}. {}", self.evidence.made_with(found.holder));
            self.add(Code::Valid, COMPUTED, detail);
        }
        for change in &found.changes {
            self.add(change.code, COMPUTED, change.what.to_string());
        }
        for change in &found.body_changes {
            let detail = format!(
                "It is the signature of the body {}. Sign the bytes as they arrived, before anything parses them.",
                change.what
            );
            self.add(change.code, COMPUTED, detail);
        }
    }
}

/// Returns the keys that the receiver's code may have used: its own secret's right key and those of mistakes, and other secrets.
fn keys_of(evidence: &Evidence, at: Option<crate::time::Timestamp>, keying: Keying) -> Vec<SignerKey> {
    let (mut own, mut mistaken, mut others) = (vec![], vec![], vec![]);
    for signer in evidence.signers() {
        let Signer { secret, holder } = signer;
        let changes = evidence.mistake(signer, at);
        // Mistakes are tried with the receiver's own secret: the one that was given, or that of the webhook.
        if changes.is_empty() && (matches!(holder, Holder::Given(_)) || evidence.asked.is_some()) {
            mistaken.extend(keys::mistaken(secret, keying).into_iter().map(|key| SignerKey { key, holder }));
        }
        let list = if changes.is_empty() { &mut own } else { &mut others };
        list.push(SignerKey { key: Candidate { value: keys::right(secret, keying), changes }, holder });
    }
    [own, mistaken, others].concat()
}

fn algorithms() -> Vec<Candidate<Algorithm>> {
    let wrong = |algorithm, what: &str| {
        let detail = format!("It was made with {what}. The algorithm is HMAC-SHA256.");
        Candidate::changed(algorithm, Change::new(Code::WrongAlgorithm, detail))
    };
    vec![
        Candidate::as_is(Algorithm::HmacSha256),
        wrong(Algorithm::HmacSha512, "HMAC-SHA512"),
        wrong(Algorithm::Sha256, "SHA-256 without a key"),
        wrong(Algorithm::Sha256OfKeyAndText, "SHA-256 of the secret followed by the text"),
    ]
}
