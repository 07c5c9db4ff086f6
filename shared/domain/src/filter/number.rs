//! Numbers, compared by their decimal value. `300`, `300.0` and `3.0e2` are equal.

/// A number of a payload or a pattern.
#[derive(Clone, Debug)]
pub(super) struct Number {
    /// The same text for all spellings of a number: digits without zeros at either end, and an exponent.
    canonical: String,
    /// The number as a double, unless it has more digits, or a larger exponent, than a double holds.
    double: Option<f64>,
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Number {
    /// Reads a number from its JSON text.
    pub(super) fn parse(text: &str) -> Self {
        let canonical = canonical(text);
        let is_exact = |double: &f64| double.is_finite() && self::canonical(&format!("{double:e}")) == canonical;
        let double = text.parse().ok().filter(is_exact);
        Self { canonical, double }
    }

    /// Returns the text that is the same for all spellings of the number.
    pub(super) fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Returns the number as a double, or `None` if a double cannot hold it exactly as it is written. Such a number has no order,
    /// as in event-ruler.
    pub(super) fn double(&self) -> Option<f64> {
        self.double
    }
}

impl Number {
    /// Returns JSON for the number's value, in the usual spelling: `300` for `3.0e2`.
    pub(super) fn to_json(&self) -> String {
        // Below this, every whole number is a double.
        const WHOLE_MAX: f64 = 9e15;
        match self.double {
            Some(double) if double.fract() == 0.0 && double.abs() < WHOLE_MAX => format!("{:.0}", double + 0.0),
            Some(double) => format!("{}", serde_json::json!(double)),
            None => self.canonical.strip_suffix("e0").unwrap_or(&self.canonical).to_owned(),
        }
    }
}

/// Returns the canonical text. A number whose exponent does not fit stays as it is written.
fn canonical(text: &str) -> String {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |unsigned| ("-", unsigned));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let leading = all.trim_start_matches('0');
    let digits = leading.trim_end_matches('0');
    if digits.is_empty() {
        return "0".to_owned();
    }
    let shift = (leading.len() - digits.len()) as i64 - fraction.len() as i64;
    match exponent.parse::<i64>().ok().and_then(|exponent| exponent.checked_add(shift)) {
        Some(exponent) => format!("{sign}{digits}e{exponent}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_number_are_equal() {
        for same in [
            &["300", "300.0", "3.0e2", "3E+2", "0.3e3", "3000e-1"][..],
            &["0", "-0", "0.0", "0e99", "-0.00e-7"],
            &["-1.5", "-15e-1", "-0.00015E4"],
            &["12345678901234567890123", "12345678901234567890.123e3"],
        ] {
            for spelling in same {
                assert_eq!(Number::parse(spelling), Number::parse(same[0]), "{spelling}");
            }
        }
        assert_ne!(Number::parse("12345678901234567890123"), Number::parse("12345678901234567890124"));
        assert_ne!(Number::parse("1e99999999999999999999"), Number::parse("1e99999999999999999998"));
    }

    #[test]
    fn only_what_a_double_holds_has_an_order() {
        assert_eq!(Number::parse("3.018e2").double(), Some(301.8));
        assert_eq!(Number::parse("-0").double(), Some(0.0));
        assert_eq!(Number::parse("1.7976931348623157e308").double(), Some(f64::MAX));
        for none in ["12345678901234567890123", "0.1000000000000000055511151231257827", "1e400", "1e-400"] {
            assert_eq!(Number::parse(none).double(), None, "{none}");
        }
    }
}
