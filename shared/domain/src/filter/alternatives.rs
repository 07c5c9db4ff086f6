//! What one field accepts: the alternatives of its list.

use super::{
    document::Value,
    operators::{Case, Excluded, Operator, Part},
    texts::{Prefixes, Suffixes, folded},
    wildcard::Wildcards,
};
use ipnet::IpNet;
use std::{
    cell::OnceCell,
    collections::HashSet,
    net::IpAddr,
    ops::{Bound, RangeBounds},
};

/// The alternatives of one leaf of a pattern.
#[derive(Debug)]
pub(super) struct Alternatives {
    literals: Vec<Option<bool>>,
    numbers: HashSet<String>,
    ranges: Vec<(Bound<f64>, Bound<f64>)>,
    texts: Texts,
    ignoring_case: Texts,
    wildcards: Option<Wildcards>,
    /// The texts that are IP addresses. They match every spelling of the address.
    addresses: HashSet<IpAddr>,
    networks: Vec<IpNet>,
    anything_but: Vec<Exclusion>,
    exists: bool,
    /// Whether the field may be missing.
    pub(super) absent: bool,
    /// Whether the field may also differ from `previous_data`.
    pub(super) changed: bool,
}

/// What one `anything-but` excludes.
#[derive(Debug)]
enum Exclusion {
    Numbers(HashSet<String>),
    Texts(Texts),
    IgnoringCase(Texts),
    Wildcards(Wildcards),
}

/// Texts to compare with a value's whole, beginning and end.
#[derive(Debug, Default)]
struct Texts {
    whole: HashSet<String>,
    prefixes: Prefixes,
    suffixes: Suffixes,
}

/// A scalar of a payload while leaves judge it.
pub(super) struct Scalar<'v> {
    pub(super) value: &'v Value<'v>,
    /// Its text without case, once a leaf has asked for it: folding a long text takes time, and many leaves may ask.
    folded: OnceCell<String>,
}

impl<'v> Scalar<'v> {
    pub(super) fn new(value: &'v Value<'v>) -> Self {
        Self { value, folded: OnceCell::new() }
    }

    /// Returns `text`, which is the scalar's, without case.
    fn folded(&self, text: &str) -> &str {
        self.folded.get_or_init(|| folded(text))
    }
}

impl Texts {
    fn new(case: Case, texts: impl Iterator<Item = (Part, String)> + Clone) -> Self {
        let of = |wanted: Part| {
            let wanted = texts.clone().filter(move |(part, _)| *part == wanted);
            wanted.map(move |(_, text)| if case == Case::Ignored { folded(&text) } else { text })
        };
        Self {
            whole: of(Part::Whole).collect(),
            prefixes: Prefixes::new(of(Part::Prefix)),
            suffixes: Suffixes::new(of(Part::Suffix)),
        }
    }

    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.prefixes.is_empty() && self.suffixes.is_empty()
    }

    fn accept(&self, value: &str) -> bool {
        self.whole.contains(value) || self.prefixes.begin(value.as_bytes()) || self.suffixes.end(value.as_bytes())
    }
}

impl Alternatives {
    /// Creates the alternatives of the entries of a list.
    pub(super) fn new(operators: Vec<Operator>) -> Self {
        let (mut texts, mut ignoring_case, mut wildcards) = (vec![], vec![], vec![]);
        let mut all = Self {
            literals: vec![],
            numbers: HashSet::new(),
            ranges: vec![],
            texts: Texts::default(),
            ignoring_case: Texts::default(),
            wildcards: None,
            addresses: HashSet::new(),
            networks: vec![],
            anything_but: vec![],
            exists: false,
            absent: false,
            changed: false,
        };
        for operator in operators {
            match operator {
                Operator::Literal(literal) => all.literals.push(literal),
                Operator::Number(number) => _ = all.numbers.insert(number.canonical().to_owned()),
                Operator::Range(range) => all.ranges.push(range),
                Operator::Text(part, Case::Exact, text) => {
                    all.addresses.extend(address(&text).filter(|_| part == Part::Whole));
                    texts.push((part, text));
                }
                Operator::Text(part, Case::Ignored, text) => ignoring_case.push((part, text)),
                Operator::Wildcard(wildcard) => wildcards.push(wildcard),
                Operator::Network(network) => all.networks.push(network),
                Operator::Exists(exists) if exists => all.exists = true,
                Operator::Exists(_) => all.absent = true,
                Operator::Changed => all.changed = true,
                Operator::AnythingBut(excluded) => all.anything_but.extend(Exclusion::new(excluded)),
            }
        }
        all.texts = Texts::new(Case::Exact, texts.into_iter());
        all.ignoring_case = Texts::new(Case::Ignored, ignoring_case.into_iter());
        all.wildcards = Wildcards::new(&wildcards);
        all
    }

    /// Whether one of the alternatives accepts a value of the field. An object or an array is no leaf, so nothing accepts it.
    pub(super) fn accept(&self, scalar: &Scalar) -> bool {
        let accepted = match scalar.value {
            Value::Null => self.literals.contains(&None),
            Value::Bool(bool) => self.literals.contains(&Some(*bool)),
            Value::Number(number) => {
                let in_range = |double| self.ranges.iter().any(|range| range.contains(&double));
                self.numbers.contains(number.canonical()) || number.double().is_some_and(in_range)
            }
            Value::String(text) => self.accept_text(text, scalar),
            Value::Array(_) | Value::Object(_) => return false,
        };
        accepted || self.exists || self.anything_but.iter().any(|exclusion| !exclusion.excludes(scalar))
    }

    fn accept_text(&self, text: &str, scalar: &Scalar) -> bool {
        self.texts.accept(text)
            || !self.ignoring_case.is_empty() && self.ignoring_case.accept(scalar.folded(text))
            || self.wildcards.as_ref().is_some_and(|wildcards| wildcards.matches(text.as_bytes()))
            || self.accept_address(text)
    }

    fn accept_address(&self, text: &str) -> bool {
        if self.addresses.is_empty() && self.networks.is_empty() {
            return false;
        }
        let accept =
            |ip: IpAddr| self.addresses.contains(&ip) || self.networks.iter().any(|network| network.contains(&ip));
        address(text).is_some_and(accept)
    }

    /// How many steps judging `value` may take, for the tests of the module's bound.
    #[cfg(test)]
    pub(super) fn steps(&self, value: &Value) -> u64 {
        let bytes = if let Value::String(text) = value { text.len() as u64 } else { 1 };
        let words = |wildcards: &Wildcards| wildcards.words() as u64 * bytes;
        let excluded = self.anything_but.iter().map(|exclusion| match exclusion {
            Exclusion::Wildcards(wildcards) => words(wildcards),
            _ => 1,
        });
        let wildcards = self.wildcards.as_ref().map_or(0, words);
        bytes + wildcards + excluded.sum::<u64>() + (self.ranges.len() + self.networks.len()) as u64
    }
}

impl Exclusion {
    /// Returns the exclusion, or `None` for an empty list, which the reader refuses.
    fn new(excluded: Excluded) -> Option<Self> {
        Some(match excluded {
            Excluded::Numbers(numbers) => {
                Self::Numbers(numbers.iter().map(|number| number.canonical().to_owned()).collect())
            }
            Excluded::Texts(part, Case::Exact, texts) => {
                Self::Texts(Texts::new(Case::Exact, texts.into_iter().map(|text| (part, text))))
            }
            Excluded::Texts(part, Case::Ignored, texts) => {
                Self::IgnoringCase(Texts::new(Case::Ignored, texts.into_iter().map(|text| (part, text))))
            }
            Excluded::Wildcards(wildcards) => Self::Wildcards(Wildcards::new(&wildcards)?),
        })
    }

    fn excludes(&self, scalar: &Scalar) -> bool {
        match (self, scalar.value) {
            (Self::Numbers(numbers), Value::Number(number)) => numbers.contains(number.canonical()),
            (Self::Texts(texts), Value::String(text)) => texts.accept(text),
            (Self::IgnoringCase(texts), Value::String(text)) => texts.accept(scalar.folded(text)),
            (Self::Wildcards(wildcards), Value::String(text)) => wildcards.matches(text.as_bytes()),
            _ => false,
        }
    }
}

/// Reads an IP address. An IPv4 address inside IPv6 (`::ffff:…`) is the IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}
