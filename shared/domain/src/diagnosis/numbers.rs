//! Numbers as other languages write them.

use std::borrow::Cow;

/// How a library writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// As they were.
    Kept,
    /// As doubles, the shortest form of ECMAScript.
    Js,
    /// Whole numbers as they were, others as doubles in the form of Python's `repr`.
    Python,
}

/// Returns the number as a double, if it is not too large for one.
pub(super) fn as_double(number: &str) -> Option<f64> {
    number.parse().ok().filter(|double: &f64| double.is_finite())
}

/// Writes a number that is written as `number`.
pub(super) fn written(number: &str, numbers: Numbers) -> Cow<'_, str> {
    let is_whole = !number.contains(['.', 'e', 'E']);
    match (numbers, as_double(number)) {
        (Numbers::Js, Some(double)) => js_number(double).into(),
        (Numbers::Python, Some(double)) if !is_whole => python_number(double).into(),
        (Numbers::Python, _) if number == "-0" => "0".into(),
        _ => number.into(),
    }
}

/// The shortest digits that read back as `double`, and its decimal exponent: `0.d₁d₂… × 10^exponent`.
fn digits(double: f64) -> (String, i32) {
    let written = format!("{:e}", double.abs());
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    (mantissa.replace('.', ""), exponent.parse::<i32>().unwrap_or_default() + 1)
}

/// Writes a number without an exponent. `point` is where its decimal point stands.
fn positional(digits: &str, point: i32) -> String {
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    match usize::try_from(point) {
        Ok(0) | Err(_) => format!("0.{}{digits}", zeros(-point)),
        Ok(_) if point >= count => format!("{digits}{}", zeros(point - count)),
        Ok(before) => format!("{}.{}", &digits[..before], &digits[before..]),
    }
}

/// Writes a number with an exponent, which has at least `width` digits.
fn scientific(digits: &str, point: i32, width: usize) -> String {
    let (first, rest) = digits.split_at(1);
    let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
    let sign = if point > 0 { '+' } else { '-' };
    format!("{first}{fraction}e{sign}{:0width$}", (point - 1).abs())
}

/// `Number.prototype.toString` of ECMAScript.
fn js_number(double: f64) -> String {
    if double == 0.0 {
        return "0".to_owned();
    }
    let (digits, point) = digits(double);
    let written = if (-5..=21).contains(&point) { positional(&digits, point) } else { scientific(&digits, point, 1) };
    if double < 0.0 { format!("-{written}") } else { written }
}

/// `repr(float)` of Python.
fn python_number(double: f64) -> String {
    let sign = if double.is_sign_negative() { "-" } else { "" };
    if double == 0.0 {
        return format!("{sign}0.0");
    }
    let (digits, point) = digits(double);
    if !(-3..=16).contains(&point) {
        return format!("{sign}{}", scientific(&digits, point, 2));
    }
    let written = positional(&digits, point);
    let fraction = if written.contains('.') { "" } else { ".0" };
    format!("{sign}{written}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Node.js and Python print.
    #[test]
    fn numbers_are_written_as_other_languages_do() {
        for (number, js, python) in [
            ("1.0", "1", "1.0"),
            ("-0.0", "0", "-0.0"),
            ("1e3", "1000", "1000.0"),
            ("12345678901234567890123", "1.2345678901234568e+22", "12345678901234567890123"),
            ("123456789012345678901", "123456789012345680000", "123456789012345678901"),
            ("1e21", "1e+21", "1e+21"),
            ("1e16", "10000000000000000", "1e+16"),
            ("1234567890123456.0", "1234567890123456", "1234567890123456.0"),
            ("0.0001", "0.0001", "0.0001"),
            ("0.00001", "0.00001", "1e-05"),
            ("1e-7", "1e-7", "1e-07"),
            ("-1.5e-9", "-1.5e-9", "-1.5e-09"),
            ("0.1", "0.1", "0.1"),
        ] {
            assert_eq!((&*written(number, Numbers::Js), &*written(number, Numbers::Python)), (js, python), "{number}");
        }
    }
}
