//! Reads one entry of a field's list: a value, or an operator such as `{"prefix": "a"}`.

use super::{number::Number, wildcard::Wildcard};
use crate::input::{self, Faults, members, pointer};
use ipnet::IpNet;
use serde_json::value::RawValue;
use std::ops::Bound;

/// What one entry accepts.
#[derive(Debug)]
pub(super) enum Operator {
    /// `null`, `true` or `false`.
    Literal(Option<bool>),
    /// A number.
    Number(Number),
    /// Numbers of a range.
    Range((Bound<f64>, Bound<f64>)),
    /// A text.
    Text(Part, Case, String),
    /// A text with wildcards.
    Wildcard(Wildcard),
    /// An IP address of a network.
    Network(IpNet),
    /// Any leaf (`true`), or none (`false`).
    Exists(bool),
    /// A field that differs from `previous_data`.
    Changed,
    /// Any leaf but these.
    AnythingBut(Excluded),
}

/// What `anything-but` excludes.
#[derive(Debug)]
pub(super) enum Excluded {
    /// Numbers.
    Numbers(Vec<Number>),
    /// Texts.
    Texts(Part, Case, Vec<String>),
    /// Texts with wildcards.
    Wildcards(Vec<Wildcard>),
}

/// Which part of a value a text is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// Its beginning.
    Prefix,
    /// Its end.
    Suffix,
}

/// How the case of letters counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// It counts.
    Exact,
    /// It does not.
    Ignored,
}

/// The operators that compare texts, wherever they may stand.
const EQUALS_IGNORE_CASE: &str = "equals-ignore-case";
const PREFIX: &str = "prefix";
const SUFFIX: &str = "suffix";
const WILDCARD: &str = "wildcard";

/// The names that event-ruler reserves inside `$or`: operators, and what may become one.
pub(super) const RESERVED_IN_OR: &[&str] = &[
    "exactly",
    EQUALS_IGNORE_CASE,
    PREFIX,
    SUFFIX,
    "anything-but",
    "exists",
    WILDCARD,
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
    "changed",
];

/// Reads one entry of the list of the field at `path`.
pub(super) fn entry(raw: &RawValue, path: &[String]) -> Result<Operator, Faults> {
    match raw.get().as_bytes().first() {
        Some(b'{') => operator(raw, path),
        Some(b'[') => Err("must be a string, a number, `true`, `false`, `null` or an operator".into()),
        Some(b'"') => Ok(Operator::Text(Part::Whole, Case::Exact, input::string(raw)?)),
        Some(b'n') => Ok(Operator::Literal(None)),
        Some(b't') => Ok(Operator::Literal(Some(true))),
        Some(b'f') => Ok(Operator::Literal(Some(false))),
        _ => Ok(Operator::Number(Number::parse(raw.get()))),
    }
}

fn operator(raw: &RawValue, path: &[String]) -> Result<Operator, Faults> {
    let members = members(raw)?;
    let [(name, argument)] = members.as_slice() else { return Err("must have exactly one operator".into()) };
    let whole = |case| move |text| Operator::Text(Part::Whole, case, text);
    let read = match name.as_str() {
        PREFIX => affix(argument, Part::Prefix),
        SUFFIX => affix(argument, Part::Suffix),
        EQUALS_IGNORE_CASE => input::string(argument).map(whole(Case::Ignored)),
        WILDCARD => wildcard(argument).map(Operator::Wildcard),
        "anything-but" => anything_but(argument).map(Operator::AnythingBut),
        "numeric" => numeric(argument),
        "cidr" => network(argument).map(Operator::Network),
        "exists" => match argument.get() {
            "true" => Ok(Operator::Exists(true)),
            "false" => Ok(Operator::Exists(false)),
            _ => Err("must be `true` or `false`".into()),
        },
        "changed" => changed(argument, path),
        _ => {
            Err("is not an operator: those are `prefix`, `suffix`, `equals-ignore-case`, `wildcard`, `anything-but`, \
                  `numeric`, `cidr`, `exists` and `changed`"
                .into())
        }
    };
    read.map_err(|faults| faults.within(pointer(name)))
}

/// Reads a prefix or a suffix: a text, or `{"equals-ignore-case": text}`.
fn affix(raw: &RawValue, part: Part) -> Result<Operator, Faults> {
    if !raw.get().starts_with('{') {
        return Ok(Operator::Text(part, Case::Exact, input::string(raw)?));
    }
    let members = members(raw)?;
    match members.as_slice() {
        [(name, text)] if name == EQUALS_IGNORE_CASE => {
            let text = input::string(text).map_err(|faults| faults.within(pointer(name)))?;
            Ok(Operator::Text(part, Case::Ignored, text))
        }
        _ => Err("must be a string, or `equals-ignore-case` with a string".into()),
    }
}

fn wildcard(raw: &RawValue) -> Result<Wildcard, Faults> {
    Ok(Wildcard::parse(&input::string(raw)?)?)
}

fn network(raw: &RawValue) -> Result<IpNet, Faults> {
    let network: IpNet = input::string(raw)?.parse().map_err(|_| "must be an IP address, `/` and a number of bits")?;
    if network.prefix_len() == network.max_prefix_len() {
        return Err("must leave at least one bit free; give a single address as a plain value".into());
    }
    Ok(network)
}

fn changed(raw: &RawValue, path: &[String]) -> Result<Operator, Faults> {
    let is_below_object = path.len() > 2 && path[0] == "data" && path[1] == "object";
    match (raw.get(), is_below_object) {
        ("true", true) => Ok(Operator::Changed),
        ("true", false) => Err("is only for a field below `data.object`".into()),
        _ => Err("must be `true`".into()),
    }
}

/// Reads a value or a list of values, each with `read`. Returns the faults of all values.
fn one_or_many<T>(raw: &RawValue, read: impl Fn(&RawValue) -> Result<T, Faults>) -> Result<Vec<T>, Faults> {
    if raw.get().starts_with('[') { input::array(raw, usize::MAX, read) } else { Ok(vec![read(raw)?]) }
}

fn anything_but(raw: &RawValue) -> Result<Excluded, Faults> {
    if raw.get().starts_with('{') {
        let members = members(raw)?;
        let [(name, argument)] = members.as_slice() else { return Err("must have exactly one operator".into()) };
        let texts = |part, case, read: fn(&RawValue) -> _| {
            one_or_many(argument, read).map(|texts| Excluded::Texts(part, case, texts))
        };
        let excluded = match name.as_str() {
            PREFIX => texts(Part::Prefix, Case::Exact, filled),
            SUFFIX => texts(Part::Suffix, Case::Exact, filled),
            EQUALS_IGNORE_CASE => texts(Part::Whole, Case::Ignored, input::string),
            WILDCARD => one_or_many(argument, wildcard).map(Excluded::Wildcards),
            _ => {
                Err("cannot be inside `anything-but`: only `prefix`, `suffix`, `equals-ignore-case` and `wildcard`"
                    .into())
            }
        };
        return excluded.map_err(|faults| faults.within(pointer(name)));
    }
    let entries = one_or_many(raw, |raw| match entry(raw, &[])? {
        plain @ (Operator::Text(..) | Operator::Number(_)) => Ok(plain),
        _ => Err("must be a string or a number".into()),
    })?;
    let (mut texts, mut numbers) = (vec![], vec![]);
    for entry in entries {
        match entry {
            Operator::Number(number) if number.double().is_none() => return Err(INEXACT.into()),
            Operator::Number(number) => numbers.push(number),
            Operator::Text(_, _, text) => texts.push(text),
            _ => {}
        }
    }
    match (texts.is_empty(), numbers.is_empty()) {
        (false, true) => Ok(Excluded::Texts(Part::Whole, Case::Exact, texts)),
        (true, false) => Ok(Excluded::Numbers(numbers)),
        _ => Err("must have either strings or numbers, not both".into()),
    }
}

/// Reads a text that is not empty.
fn filled(raw: &RawValue) -> Result<String, Faults> {
    let text = input::string(raw)?;
    if text.is_empty() { Err("must not be empty".into()) } else { Ok(text) }
}

const INEXACT: &str = "must be a number that a double holds exactly as it is written";

fn numeric(raw: &RawValue) -> Result<Operator, Faults> {
    const FORM: &str = "must be a comparison (`=`, `<`, `<=`, `>`, `>=`) and a number, or a range: `>` or `>=`, a number, \
                        `<` or `<=`, and a larger number";
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| Faults::from(FORM))?;
    let number = |index: usize| {
        let number = entry(items[index], &[])
            .ok()
            .and_then(|entry| if let Operator::Number(number) = entry { Some(number) } else { None });
        let fault = |detail: &str| Faults::at(format_args!("/{index}"), detail);
        let number = number.ok_or_else(|| fault("must be a number"))?;
        number.double().map(|double| (number, double)).ok_or_else(|| fault(INEXACT))
    };
    let comparison = |index: usize| input::string(items[index]).unwrap_or_default();
    if !matches!(items.len(), 2 | 4) {
        return Err(FORM.into());
    }
    let (exact, first) = number(1)?;
    let low = match comparison(0).as_str() {
        "=" if items.len() == 2 => return Ok(Operator::Number(exact)),
        "<" if items.len() == 2 => return Ok(Operator::Range((Bound::Unbounded, Bound::Excluded(first)))),
        "<=" if items.len() == 2 => return Ok(Operator::Range((Bound::Unbounded, Bound::Included(first)))),
        ">" => Bound::Excluded(first),
        ">=" => Bound::Included(first),
        _ => return Err(FORM.into()),
    };
    if items.len() == 2 {
        return Ok(Operator::Range((low, Bound::Unbounded)));
    }
    let (_, second) = number(3)?;
    let high = match comparison(2).as_str() {
        "<" => Bound::Excluded(second),
        "<=" => Bound::Included(second),
        _ => return Err(FORM.into()),
    };
    if first < second { Ok(Operator::Range((low, high))) } else { Err(FORM.into()) }
}
