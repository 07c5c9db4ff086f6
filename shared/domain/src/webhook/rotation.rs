//! The secrets that sign deliveries while a secret is being rotated.

use super::Webhook;
use crate::{secret::Secret, signature::hmac_sha256, time::Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// The most secrets that may sign at once. Each adds a signature to a header of every delivery.
pub const SIGNING_SECRETS_MAX: usize = 4;

/// The most rotations under idempotency keys that a webhook remembers. A request needs its own only until its answer is stored
/// with the key.
const KEYED_ROTATIONS_KEPT: usize = 8;

/// A rotation that a user asks for.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new secret, or `None` to generate one.
    pub secret: Option<Secret>,
    /// How long the replaced secret continues to sign.
    pub overlap: Duration,
}

/// The rotations under idempotency keys. They make a repeated request harmless, and let it answer with the same secret.
///
/// A generated secret follows from `root` and from the seed that is stored with the idempotency key. Neither of them alone gives
/// the secret, so the key stores no second copy of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyedRotations {
    /// A random key of the webhook's own, which signs nothing else.
    root: Secret,
    /// The seeds of the latest rotations that were carried out, oldest first.
    carried_out: Vec<String>,
}

impl KeyedRotations {
    /// Returns the secret that is generated for the idempotency key with `seed`.
    fn generated(&self, seed: &str) -> Secret {
        Secret::from_key(&hmac_sha256(self.root.expose().as_bytes(), &[seed.as_bytes()]))
    }

    /// Records that the rotation with `seed` is carried out.
    fn record(&mut self, seed: &str) {
        self.carried_out.push(seed.to_owned());
        let over = self.carried_out.len().saturating_sub(KEYED_ROTATIONS_KEPT);
        self.carried_out.drain(..over);
    }
}

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

    /// Returns when the last of the earlier secrets stops signing, or `None` if there is none. The moment may be over.
    pub fn overlap_ends_at(&self) -> Option<Timestamp> {
        self.previous_secrets.iter().map(|previous| previous.until).max()
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

    /// Rotates the secret at `now`, unless it was done already for the idempotency key with `seed`. The first rotation under a
    /// key stores `new_root`, from which it and all later ones generate their secrets.
    ///
    /// # Errors
    /// [`SIGNING_SECRETS_MAX`] secrets are already valid.
    pub fn rotate_secret_once(
        &mut self,
        rotation: &Rotation,
        seed: &str,
        new_root: &Secret,
        now: Timestamp,
    ) -> Result<(), SecretsFull> {
        let new = || KeyedRotations { root: new_root.clone(), carried_out: vec![] };
        let mut keyed = self.keyed_rotations.clone().unwrap_or_else(new);
        if !keyed.carried_out.iter().any(|carried_out| carried_out == seed) {
            let secret = rotation.secret.clone().unwrap_or_else(|| keyed.generated(seed));
            self.rotate_secret(&secret, rotation.overlap, now)?;
            keyed.record(seed);
            self.keyed_rotations = Some(keyed);
        }
        Ok(())
    }

    /// Returns the new secret of a rotation that was carried out for the idempotency key with `seed`, or `None` if this webhook
    /// never had a rotation under a key.
    pub fn rotated_secret(&self, rotation: &Rotation, seed: &str) -> Option<Secret> {
        let generated = || Some(self.keyed_rotations.as_ref()?.generated(seed));
        rotation.secret.clone().or_else(generated)
    }

    /// Ends the overlap of a rotation at `now`: only the newest secret signs from now on.
    pub fn finish_rotation(&mut self, now: Timestamp) {
        if self.signing_secrets(now).count() > 1 {
            self.updated_at = now;
        }
        self.previous_secrets.clear();
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
    fn finishing_a_rotation_leaves_the_newest_secret_and_may_be_repeated() {
        let mut webhook = Webhook { secret: secret('a'), ..registered_at(100, &["*"]) };
        webhook.rotate_secret(&secret('b'), Duration::from_secs(1), at(200)).expect("room");
        webhook.finish_rotation(at(300));
        assert_eq!((signing(&webhook, 300), webhook.updated_at), ("b".to_owned(), at(300)));
        webhook.finish_rotation(at(400));
        assert_eq!((signing(&webhook, 400), webhook.updated_at), ("b".to_owned(), at(300)), "nothing is left to end");
    }

    #[test]
    fn a_rotation_under_a_key_is_carried_out_once() {
        let mut webhook = registered_at(100, &["*"]);
        let rotation = Rotation { secret: None, overlap: Duration::from_secs(1) };
        let [root, other] = ['r', 's'].map(secret);
        webhook.rotate_secret_once(&rotation, "first", &root, at(200)).expect("room");
        let first = webhook.rotated_secret(&rotation, "first").expect("a secret");
        assert_eq!(webhook.secret.expose(), first.expose());
        assert!(Secret::parse(first.expose()).is_ok(), "a generated secret is valid");

        webhook.rotate_secret_once(&rotation, "second", &other, at(210)).expect("room");
        let second = webhook.rotated_secret(&rotation, "second").expect("a secret");
        assert_eq!(webhook.secret.expose(), second.expose());
        assert_ne!(first.expose(), second.expose());
        webhook.rotate_secret_once(&rotation, "first", &other, at(220)).expect("nothing to do");
        assert_eq!(webhook.secret.expose(), second.expose(), "a repeat changes nothing");
        assert_eq!(webhook.updated_at, at(210));
        webhook.finish_rotation(at(230));
        assert_eq!(webhook.rotated_secret(&rotation, "first").expect("a secret").expose(), first.expose());

        let own = Rotation { secret: Some(secret('o')), ..rotation };
        webhook.rotate_secret_once(&own, "third", &other, at(240)).expect("room");
        assert_eq!(webhook.secret.expose(), secret('o').expose());
        assert_eq!(webhook.rotated_secret(&own, "third").expect("a secret").expose(), secret('o').expose());
    }

    #[test]
    fn a_webhook_remembers_the_latest_rotations_under_keys() {
        let mut webhook = registered_at(100, &["*"]);
        let rotation = Rotation { secret: None, overlap: Duration::ZERO };
        for number in 0..20 {
            webhook.rotate_secret_once(&rotation, &number.to_string(), &secret('r'), at(200)).expect("room");
        }
        let kept = webhook.keyed_rotations.expect("rotations").carried_out;
        assert_eq!((kept.len(), kept.last().map(String::as_str)), (KEYED_ROTATIONS_KEPT, Some("19")));
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
