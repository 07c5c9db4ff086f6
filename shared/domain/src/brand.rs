//! How the portal presents itself: its name and its colour, so that a platform can show it as its own.

use serde::Serialize;
use std::{fmt, str::FromStr};

/// The most characters of a name.
const NAME_MAX: usize = 50;

/// The name that the portal shows: 1 to 50 visible characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name(String);

impl Default for Name {
    fn default() -> Self {
        Self("Hookline".to_owned())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let length = text.chars().count();
        if (1..=NAME_MAX).contains(&length) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("must have 1 to {NAME_MAX} characters"))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The colour of what can be clicked: `#` and six hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accent(String);

impl Default for Accent {
    fn default() -> Self {
        Self("#2f6fde".to_owned())
    }
}

impl FromStr for Accent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim().strip_prefix('#').filter(|digits| digits.len() == 6);
        match digits {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Self(format!("#{}", digits.to_ascii_lowercase())))
            }
            _ => Err("must be a colour such as #2f6fde".to_owned()),
        }
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the portal presents itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Brand {
    /// Its name.
    pub name: Name,
    /// Its colour.
    pub accent: Accent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_visible() {
        assert_eq!(" Müller & Söhne ".parse(), Ok(Name("Müller & Söhne".to_owned())));
        for refused in ["", "  ", "a\nb", &"x".repeat(51)] {
            assert!(refused.parse::<Name>().is_err(), "{refused:?}");
        }
    }

    #[test]
    fn an_accent_is_a_colour_in_hexadecimal() {
        assert_eq!("#2F6FDE".parse(), Ok(Accent::default()));
        for refused in ["", "2f6fde", "#2f6fd", "#2f6fdg", "#2f6fde;x", "red"] {
            assert!(refused.parse::<Accent>().is_err(), "{refused:?}");
        }
    }
}
