//! What asked for an attempt.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::{fmt, str::FromStr};

/// What asked for an attempt. A trigger has one attempt, however often its task is received, because a delivery stores its
/// attempts by their triggers.
///
/// Its text in items, tasks and logs is `{run}.{step}`, `manual.{nonce}`, `test` or `trial.{epoch}.{number}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub enum Trigger {
    /// A step of the retry schedule.
    Scheduled {
        /// The run: one pass through the schedule. 0 begins with the event's publication; every other run begins with a
        /// recovery, and is that moment in milliseconds since the Unix epoch.
        run: i64,
        /// The attempt within the run, from 1.
        step: u32,
    },
    /// A user's request for one attempt outside the schedule.
    Manual {
        /// A text that is unique to the request.
        nonce: String,
    },
    /// A test delivery, which has one attempt.
    Test,
    /// A trial of a webhook that was disabled for failures.
    Trial {
        /// The webhook's epoch, which the disabling began.
        epoch: u32,
        /// The number of the trial, from 1.
        number: u32,
    },
}

impl Trigger {
    /// The first attempt after publication.
    pub const FIRST: Self = Self::Scheduled { run: 0, step: 1 };
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduled { run, step } => write!(f, "{run}.{step}"),
            Self::Manual { nonce } => write!(f, "manual.{nonce}"),
            Self::Test => f.write_str("test"),
            Self::Trial { epoch, number } => write!(f, "trial.{epoch}.{number}"),
        }
    }
}

impl From<Trigger> for String {
    fn from(trigger: Trigger) -> Self {
        trigger.to_string()
    }
}

/// The text is not a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a trigger")]
pub struct InvalidTrigger;

impl FromStr for Trigger {
    type Err = InvalidTrigger;

    fn from_str(text: &str) -> Result<Self, InvalidTrigger> {
        match text.split_once('.') {
            None if text == "test" => Ok(Self::Test),
            Some(("manual", nonce)) => Ok(Self::Manual { nonce: nonce.to_owned() }),
            Some(("trial", rest)) => {
                let (epoch, number) = rest.split_once('.').ok_or(InvalidTrigger)?;
                let (epoch, number) = (epoch.parse(), number.parse());
                Ok(Self::Trial {
                    epoch: epoch.map_err(|_| InvalidTrigger)?,
                    number: number.map_err(|_| InvalidTrigger)?,
                })
            }
            Some((run, step)) => {
                let run = run.parse().map_err(|_| InvalidTrigger)?;
                match step.parse() {
                    Ok(step @ 1..) => Ok(Self::Scheduled { run, step }),
                    _ => Err(InvalidTrigger),
                }
            }
            None => Err(InvalidTrigger),
        }
    }
}

/// Reads the text, or the map that tasks of version 0.1 have instead, such as `{"scheduled": {"round": 0, "step": 1}}`.
impl<'de> Deserialize<'de> for Trigger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum TriggerOf01 {
            Scheduled { round: i64, step: u32 },
            Manual { nonce: String },
        }

        struct TextOrMap;

        impl<'de> de::Visitor<'de> for TextOrMap {
            type Value = Trigger;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a trigger")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Trigger, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Trigger, A::Error> {
                Ok(match TriggerOf01::deserialize(de::value::MapAccessDeserializer::new(map))? {
                    TriggerOf01::Scheduled { step: 0, .. } => return Err(de::Error::custom(InvalidTrigger)),
                    TriggerOf01::Scheduled { round, step } => Trigger::Scheduled { run: round, step },
                    TriggerOf01::Manual { nonce } => Trigger::Manual { nonce },
                })
            }
        }

        deserializer.deserialize_any(TextOrMap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_map_of_version_0_1_is_read() {
        let read = |json: &str| serde_json::from_str::<Trigger>(json).expect("a trigger");
        assert_eq!(read(r#"{"scheduled":{"round":7,"step":2}}"#), Trigger::Scheduled { run: 7, step: 2 });
        assert_eq!(read(r#"{"manual":{"nonce":"0a"}}"#), Trigger::Manual { nonce: "0a".to_owned() });
        assert_eq!(read(r#""test""#), Trigger::Test);
    }

    #[test]
    fn there_is_no_step_zero() {
        for json in [r#""0.0""#, r#"{"scheduled":{"round":0,"step":0}}"#] {
            assert!(serde_json::from_str::<Trigger>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_trigger_reads_back_from_its_text(run: i64, step in 1_u32.., epoch: u32, nonce in "[0-9a-f]{0,10}") {
            let (manual, trial) = (Trigger::Manual { nonce: nonce.clone() }, Trigger::Trial { epoch, number: step });
            for trigger in [Trigger::Scheduled { run, step }, manual, Trigger::Test, trial] {
                prop_assert_eq!(trigger.to_string().parse(), Ok(trigger.clone()));
                let json = serde_json::to_string(&trigger).expect("JSON");
                prop_assert_eq!(serde_json::from_str::<Trigger>(&json).expect("a trigger"), trigger);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<Trigger>();
        }
    }
}
