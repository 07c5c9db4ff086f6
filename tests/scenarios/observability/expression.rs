//! Expressions, as CloudWatch Logs Insights and CloudWatch's metric math have them. What is unknown fails.

use std::collections::VecDeque;

use regex_lite::Regex;

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Number(f64),
    Text(String),
    Pattern(String),
    List(Vec<Expression>),
    /// A field or a metric, or the `*` of `count(*)`.
    Name(String),
    Call(String, Vec<Expression>),
    Not(Box<Expression>),
    Binary(Operator, Box<[Expression; 2]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Greater,
    AtLeast,
    Less,
    AtMost,
    Like,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// The operators of a language, as they are written.
pub(super) type Operators = [(&'static str, Operator)];

impl Operator {
    /// How tightly it binds.
    const fn level(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::Add | Self::Subtract => 3,
            Self::Multiply | Self::Divide => 4,
            _ => COMPARISON,
        }
    }

    /// Applies an operator to numbers. A comparison is 1 or 0.
    pub(super) fn apply(self, left: f64, right: f64) -> f64 {
        let is = |holds: bool| f64::from(u8::from(holds));
        match self {
            Self::Or => is(left != 0.0 || right != 0.0),
            Self::And => is(left != 0.0 && right != 0.0),
            Self::Equal => is((left - right).abs() < f64::EPSILON),
            Self::NotEqual => is((left - right).abs() >= f64::EPSILON),
            Self::Greater => is(left > right),
            Self::AtLeast => is(left >= right),
            Self::Less => is(left < right),
            Self::AtMost => is(left <= right),
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Like | Self::In => panic!("{self:?} takes no numbers"),
        }
    }
}

/// The level of comparisons, above which `not` does not bind.
const COMPARISON: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A name, a keyword, or an operator.
    Word,
    Number,
    Text,
    Pattern,
}

/// Reads expressions, and what is between them.
pub(super) struct Reader {
    tokens: VecDeque<(Kind, String)>,
    operators: &'static Operators,
}

impl Reader {
    pub(super) fn new(text: &str, operators: &'static Operators) -> Self {
        Self { tokens: tokens(text), operators }
    }

    pub(super) fn is_done(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let is_next = self.tokens.front().is_some_and(|(kind, text)| *kind == Kind::Word && text == word);
        if is_next {
            self.tokens.pop_front();
        }
        is_next
    }

    /// Takes the next word, which must be this one.
    pub(super) fn expect(&mut self, word: &str) {
        assert!(self.take(word), "{word} should come before {:?}", self.tokens);
    }

    /// Takes a word, such as the name of a field.
    pub(super) fn word(&mut self) -> String {
        let next = self.tokens.pop_front();
        let word = next.as_ref().filter(|(kind, text)| *kind == Kind::Word && !is_sign(text));
        word.unwrap_or_else(|| panic!("{next:?} should be a name before {:?}", self.tokens)).1.clone()
    }

    /// Takes the literal text or number that comes next.
    pub(super) fn literal(&mut self) -> String {
        let next = self.tokens.pop_front().filter(|(kind, _)| matches!(kind, Kind::Text | Kind::Number));
        next.unwrap_or_else(|| panic!("a literal should come before {:?}", self.tokens)).1
    }

    /// Takes items that are separated by commas.
    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        let mut items = vec![item(self)];
        while self.take(",") {
            items.push(item(self));
        }
        items
    }

    pub(super) fn expression(&mut self) -> Expression {
        self.binary(0)
    }

    fn binary(&mut self, level: u8) -> Expression {
        let mut left =
            if self.take("not") { Expression::Not(Box::new(self.binary(COMPARISON))) } else { self.operand() };
        while let Some(operator) = self.operator().filter(|operator| operator.level() >= level) {
            self.tokens.pop_front();
            left = Expression::Binary(operator, Box::new([left, self.binary(operator.level() + 1)]));
        }
        left
    }

    /// Returns the operator that comes next, if one does.
    fn operator(&self) -> Option<Operator> {
        let (kind, text) = self.tokens.front()?;
        let known = self.operators.iter().find(|(written, _)| *kind == Kind::Word && written == text);
        known.map(|(_, operator)| *operator)
    }

    fn operand(&mut self) -> Expression {
        if self.take("(") {
            let inner = self.expression();
            self.expect(")");
            return inner;
        }
        if self.take("[") {
            let items = self.list(Self::expression);
            self.expect("]");
            return Expression::List(items);
        }
        let (kind, text) = self.tokens.pop_front().expect("an operand");
        match kind {
            Kind::Number => Expression::Number(text.parse().expect("a number")),
            Kind::Text => Expression::Text(text),
            Kind::Pattern => Expression::Pattern(text),
            Kind::Word if self.take("(") => {
                let arguments = self.list(Self::expression);
                self.expect(")");
                Expression::Call(text, arguments)
            }
            Kind::Word if text == "*" || !is_sign(&text) => Expression::Name(text),
            Kind::Word => panic!("{text} is no operand, before {:?}", self.tokens),
        }
    }
}

fn is_sign(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '@' | '_'))
}

fn tokens(text: &str) -> VecDeque<(Kind, String)> {
    let next = r#"^(?:"([^"\\]*)"|'([^'\\]*)'|(\d+(?:\.\d+)?)|(@?[A-Za-z_][\w.]*|!=|>=|<=|==|[-+*/=<>()\[\],|]))"#;
    let (next, pattern) = (Regex::new(next).expect("a pattern"), Regex::new("^/([^/]+)/").expect("a pattern"));
    let (mut tokens, mut rest) = (VecDeque::new(), text.trim_start());
    while !rest.is_empty() {
        let may_be_pattern = tokens.back() == Some(&(Kind::Word, "like".to_owned()));
        let pattern = pattern.captures(rest).filter(|_| may_be_pattern);
        let is_pattern = pattern.is_some();
        let found = pattern.or_else(|| next.captures(rest)).unwrap_or_else(|| panic!("unknown: {rest}"));
        let (index, matched) = (1..found.len())
            .find_map(|index| Some((index, found.get(index)?.as_str())))
            .expect("one of the alternatives");
        let kind = match index {
            1 if is_pattern => Kind::Pattern,
            1 | 2 => Kind::Text,
            3 => Kind::Number,
            _ => Kind::Word,
        };
        tokens.push_back((kind, matched.to_owned()));
        rest = rest[found[0].len()..].trim_start();
    }
    tokens
}
