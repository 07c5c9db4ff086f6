//! The secrets that sign deliveries while a secret is being rotated.

use super::Webhook;
use crate::{secret::Secret, time::Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// The most secrets that may sign at once. Each adds a signature to a header of every delivery.
pub const SIGNING_SECRETS_MAX: usize = 4;

/// An earlier secret, which still signs until `until`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Secret,
    /// When it stops signing.
    pub until: Timestamp,
}

/// [`SIGNING_SECRETS_MAX`] secrets are already valid, so the webhook cannot have another one before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{SIGNING_SECRETS_MAX} secrets are valid already, until {until}")]
pub struct SecretsFull {
    /// When the first of the earlier secrets stops signing.
    pub until: Timestamp,
}

/// Reads the earlier secrets: a list, or the one or none that version 0.1 stored.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PreviousSecret>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Many(Vec<PreviousSecret>),
        One(PreviousSecret),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => vec![],
        Some(Stored::One(secret)) => vec![secret],
        Some(Stored::Many(secrets)) => secrets,
    })
}

impl Webhook {
    /// Returns the secrets that sign at `now`, newest first.
    pub fn signing_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let previous = self.previous_secrets.iter().filter(move |previous| now < previous.until);
        std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret))
    }

    /// Returns the oldest secret that signs at `now`. A receiver that has not followed a rotation yet still verifies with it.
    pub fn oldest_signing_secret(&self, now: Timestamp) -> &Secret {
        self.signing_secrets(now).last().unwrap_or(&self.secret)
    }

    /// Replaces the secret at `now`. The replaced secret still signs for `overlap`, and earlier ones until their own overlaps
    /// end. An overlap of zero ends them all.
    ///
    /// A repeat with the same secret keeps the earlier ones, and lets none of them sign for longer than `overlap` from `now`.
    ///
    /// # Errors
    /// [`SIGNING_SECRETS_MAX`] secrets are already valid.
    pub fn rotate_secret(&mut self, secret: &Secret, overlap: Duration, now: Timestamp) -> Result<(), SecretsFull> {
        let until = now.plus(overlap);
        let mut previous = self.previous_secrets.clone();
        previous.retain(|previous| now < previous.until && previous.secret.expose() != secret.expose());
        if self.secret.expose() == secret.expose() {
            for previous in &mut previous {
                previous.until = previous.until.min(until);
            }
        } else if overlap.is_zero() {
            previous.clear();
        } else {
            previous.insert(0, PreviousSecret { secret: self.secret.clone(), until });
        }
        previous.retain(|previous| now < previous.until);
        if previous.len() >= SIGNING_SECRETS_MAX {
            let ends = previous[1..].iter().map(|previous| previous.until).min();
            return Err(SecretsFull { until: ends.unwrap_or(until) });
        }
        self.secret = secret.clone();
        self.previous_secrets = previous;
        self.updated_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{at, registered_at},
        *,
    };

    /// The last letter of each secret that signs at `ms`, newest first.
    fn signing(webhook: &Webhook, ms: i64) -> String {
        webhook.signing_secrets(at(ms)).filter_map(|secret| secret.expose().chars().last()).collect()
    }

    fn secret(letter: char) -> Secret {
        Secret::parse(&format!("the secret that ends in {letter}")).expect("a secret")
    }

    #[test]
    fn every_secret_signs_until_its_own_overlap_ends() {
        let mut webhook = Webhook { secret: secret('a'), ..registered_at(100, &["*"]) };
        let mut rotate = |letter, overlap_ms, now| {
            webhook.rotate_secret(&secret(letter), Duration::from_millis(overlap_ms), at(now)).map(|()| webhook.clone())
        };
        assert_eq!(signing(&rotate('b', 1000, 200).expect("room"), 201), "ba");
        let rotated = rotate('c', 100, 300).expect("room");
        assert_eq!([301, 400, 1199, 1200].map(|ms| signing(&rotated, ms)), ["cba", "ca", "ca", "c"]);
        assert_eq!(rotated.oldest_signing_secret(at(301)).expose(), secret('a').expose());
        assert_eq!(signing(&rotate('d', 1000, 350).expect("room"), 351), "dcba");
        assert_eq!(rotate('e', 1000, 360).map(|_| ()), Err(SecretsFull { until: at(400) }));
        assert_eq!(signing(&rotate('e', 1000, 400).expect("one has ended"), 401), "edca");
        assert_eq!(signing(&rotate('e', 500, 410).expect("a repeat"), 909), "edca");
        assert_eq!(signing(&rotate('e', 500, 410).expect("a repeat"), 910), "e");
        assert_eq!(signing(&rotate('d', 500, 420).expect("back again"), 421), "deca", "none twice");
        assert_eq!(signing(&rotate('f', 0, 430).expect("no overlap"), 430), "f");
    }

    #[test]
    fn the_single_earlier_secret_of_version_0_1_is_read() {
        let mut webhook = registered_at(100, &["*"]);
        webhook.rotate_secret(&secret('b'), Duration::from_secs(1), at(200)).expect("room");
        let read = |json| serde_json::from_value::<Webhook>(json).expect("a webhook").previous_secrets;
        let mut json = serde_json::to_value(&webhook).expect("JSON");
        assert_eq!(read(json.clone()).len(), 1);
        let secrets = json.as_object_mut().expect("an object").remove("previous_secrets").expect("it is stored");
        assert!(read(json.clone()).is_empty(), "none at all");
        json["previous_secret"] = secrets[0].clone();
        let previous = read(json.clone());
        assert_eq!(
            (previous[0].secret.expose(), previous[0].until),
            (webhook.previous_secrets[0].secret.expose(), at(1200))
        );
        json["previous_secret"] = serde_json::Value::Null;
        assert!(read(json).is_empty(), "a null");
    }
}
