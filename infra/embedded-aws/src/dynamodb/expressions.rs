//! The expressions that the fast path knows: comparisons of attributes with values, `SET` with sums, keys, and lists of attributes.
//! Every attribute is named by a placeholder, and none lies within another.

use super::{
    Mine, NotMine,
    items::{Attributes, Text, Value, number_json, value_of},
    requests::Names,
    require,
    tokens::{Token, Tokens},
};
use std::{borrow::Cow, cmp::Ordering, collections::HashMap, sync::Arc};

/// The most expressions of each kind that are remembered.
const REMEMBERED_MAX: usize = 256;
/// How deep parentheses may nest.
const DEPTH_MAX: usize = 8;
/// The most attributes that an update sets.
const SETS_MAX: usize = 16;
/// The most bytes of a value in an expression.
const VALUE_BYTES_MAX: usize = 1024;
/// The most bytes of the name of an attribute.
const NAME_BYTES_MAX: usize = 255;

/// The expressions that requests have used lately, by their texts.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    pub(super) conditions: Remembered<Condition>,
    pub(super) updates: Remembered<Update>,
    pub(super) keys: Remembered<KeyCondition>,
    pub(super) projections: Remembered<Projection>,
}

/// Expressions of one kind.
#[derive(Debug)]
pub(super) struct Remembered<T>(HashMap<String, Arc<Expression<T>>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// An expression, and the placeholders in it.
#[derive(Debug)]
pub(super) struct Expression<T> {
    pub(super) tree: T,
    pub(super) placeholders: Placeholders,
}

/// The placeholders of an expression, each once.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    names: Vec<String>,
    values: Vec<String>,
}

/// What an expression of some kind is read with.
pub(super) trait Parse: Sized {
    /// Reads the expression up to its end.
    fn parse(tokens: &mut Tokens<'_>) -> Mine<Self>;
}

impl<T: Parse> Remembered<T> {
    /// Reads an expression.
    pub(super) fn get(&mut self, text: &str) -> Mine<Arc<Expression<T>>> {
        if let Some(expression) = self.0.get(text) {
            return Ok(Arc::clone(expression));
        }
        let mut tokens = Tokens::new(text)?;
        let tree = T::parse(&mut tokens)?;
        tokens.end()?;
        let expression = Arc::new(Expression { tree, placeholders: Placeholders::of(text)? });
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), Arc::clone(&expression));
        Ok(expression)
    }

    /// Reads an expression that a request may have.
    pub(super) fn get_if(&mut self, text: Option<&str>) -> Mine<Option<Arc<Expression<T>>>> {
        text.map(|text| self.get(text)).transpose()
    }
}

impl Placeholders {
    fn of(expression: &str) -> Mine<Self> {
        let (mut tokens, mut found) = (Tokens::new(expression)?, Self::default());
        while let Some(token) = tokens.next()? {
            let (list, placeholder) = match token {
                Token::Name(name) => (&mut found.names, name),
                Token::Value(value) => (&mut found.values, value),
                _ => continue,
            };
            if !list.iter().any(|known| known == placeholder) {
                list.push(placeholder.to_owned());
            }
        }
        Ok(found)
    }
}

/// What the placeholders of a request stand for.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    names: Vec<(&'a str, &'a str)>,
    values: Vec<(&'a str, &'a str, Value<'a>)>,
}

impl<'a> Scope<'a> {
    /// Requires that each placeholder of the expressions is defined, and that each definition is used.
    pub(super) fn new(
        names: Option<&'a Names<'a>>,
        values: Option<&'a Attributes<'a>>,
        expressions: &[Option<&Placeholders>],
    ) -> Mine<Self> {
        require(names.is_none_or(|names| !names.0.is_empty()) && values.is_none_or(|values| !values.0.is_empty()))?;
        let names = names.iter().flat_map(|names| &names.0);
        let names: Vec<_> = names.map(|(placeholder, name)| (placeholder.as_ref(), *name)).collect();
        require(names.iter().all(|(_, name)| (1..=NAME_BYTES_MAX).contains(&name.len())))?;
        let values = values.iter().flat_map(|values| &values.0).map(|(placeholder, json)| {
            let value = value_of(json)?;
            require(json.get().len() <= VALUE_BYTES_MAX && !matches!(&value, Value::S(Text(text)) if text.is_empty()))?;
            Ok((placeholder.as_ref(), json.get(), value))
        });
        let values = values.collect::<Mine<Vec<_>>>()?;
        let used = || expressions.iter().flatten();
        let is_used = |name: &str| used().any(|of| of.names.iter().chain(&of.values).any(|used| used == name));
        let is_defined = names.iter().map(|(name, _)| *name).chain(values.iter().map(|(name, ..)| *name));
        require(is_defined.clone().all(is_used))?;
        let all_used = used().flat_map(|of| of.names.iter().chain(&of.values));
        for placeholder in all_used {
            require(is_defined.clone().any(|defined| defined == placeholder))?;
        }
        Ok(Self { names, values })
    }

    /// Returns the name of an attribute.
    pub(super) fn name(&self, placeholder: &str) -> Mine<&'a str> {
        self.names.iter().find_map(|(known, name)| (*known == placeholder).then_some(*name)).ok_or(NotMine)
    }

    /// Returns a value.
    pub(super) fn value(&self, placeholder: &str) -> Mine<&Value<'a>> {
        self.values.iter().find_map(|(known, _, value)| (*known == placeholder).then_some(value)).ok_or(NotMine)
    }

    /// Returns the text of a value that is a string.
    pub(super) fn text(&self, placeholder: &str) -> Mine<&str> {
        match self.value(placeholder)? {
            Value::S(Text(text)) => Ok(text),
            _ => Err(NotMine),
        }
    }

    /// Returns a value as JSON.
    fn json(&self, placeholder: &str) -> Mine<&'a str> {
        self.values.iter().find_map(|(known, json, _)| (*known == placeholder).then_some(*json)).ok_or(NotMine)
    }
}

/// A condition or a filter.
#[derive(Debug)]
pub(super) enum Condition {
    /// The item has the attribute.
    Exists(String),
    /// The item does not have the attribute.
    NotExists(String),
    /// The attribute is in an order to a value.
    Compare { name: String, order: Order, value: String },
    /// All hold.
    All(Vec<Condition>),
    /// One holds.
    Any(Vec<Condition>),
}

/// An operator that compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Parse for Condition {
    fn parse(tokens: &mut Tokens<'_>) -> Mine<Self> {
        Self::parse_any(tokens, 0)
    }
}

impl Condition {
    fn parse_any(tokens: &mut Tokens<'_>, depth: usize) -> Mine<Self> {
        let mut any = vec![Self::parse_all(tokens, depth)?];
        while tokens.take(Token::Word("OR"))? {
            any.push(Self::parse_all(tokens, depth)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Self::Any(any) })
    }

    fn parse_all(tokens: &mut Tokens<'_>, depth: usize) -> Mine<Self> {
        let mut all = vec![Self::parse_one(tokens, depth)?];
        while tokens.take(Token::Word("AND"))? {
            all.push(Self::parse_one(tokens, depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Self::All(all) })
    }

    fn parse_one(tokens: &mut Tokens<'_>, depth: usize) -> Mine<Self> {
        match tokens.next()? {
            Some(Token::Sign("(")) => {
                // The engine refuses redundant parentheses.
                require(depth < DEPTH_MAX && tokens.peek()? != Some(Token::Sign("(")))?;
                let inner = Self::parse_any(tokens, depth + 1)?;
                tokens.expect(Token::Sign(")"))?;
                Ok(inner)
            }
            Some(Token::Word(function @ ("attribute_exists" | "attribute_not_exists"))) => {
                tokens.expect(Token::Sign("("))?;
                let name = tokens.name()?.to_owned();
                tokens.expect(Token::Sign(")"))?;
                Ok(if function == "attribute_exists" { Self::Exists(name) } else { Self::NotExists(name) })
            }
            Some(Token::Name(name)) => {
                let order = match tokens.next()? {
                    Some(Token::Sign("=")) => Order::Equal,
                    Some(Token::Sign("<>")) => Order::NotEqual,
                    Some(Token::Sign("<")) => Order::Less,
                    Some(Token::Sign("<=")) => Order::LessOrEqual,
                    Some(Token::Sign(">")) => Order::Greater,
                    Some(Token::Sign(">=")) => Order::GreaterOrEqual,
                    _ => return Err(NotMine),
                };
                Ok(Self::Compare { name: name.to_owned(), order, value: tokens.value()?.to_owned() })
            }
            _ => Err(NotMine),
        }
    }

    /// Whether the condition holds for an item.
    pub(super) fn holds(&self, scope: &Scope<'_>, item: &Attributes<'_>) -> Mine<bool> {
        match self {
            Self::Exists(name) => Ok(item.get(scope.name(name)?).is_some()),
            Self::NotExists(name) => Ok(item.get(scope.name(name)?).is_none()),
            Self::Compare { name, order, value } => match item.get(scope.name(name)?) {
                Some(attribute) => order.holds(&value_of(attribute)?, scope.value(value)?),
                None => Ok(*order == Order::NotEqual),
            },
            Self::All(all) => {
                for condition in all {
                    if !condition.holds(scope, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(any) => {
                for condition in any {
                    if condition.holds(scope, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether the condition is about the attribute `name`.
    pub(super) fn is_about(&self, scope: &Scope<'_>, name: &str) -> bool {
        match self {
            Self::Exists(of) | Self::NotExists(of) | Self::Compare { name: of, .. } => {
                scope.name(of).is_ok_and(|of| of == name)
            }
            Self::All(all) | Self::Any(all) => all.iter().any(|condition| condition.is_about(scope, name)),
        }
    }
}

impl Order {
    fn holds(self, one: &Value<'_>, other: &Value<'_>) -> Mine<bool> {
        let is_bool = matches!(one, Value::Bool(_)) && matches!(other, Value::Bool(_));
        require(!is_bool || matches!(self, Self::Equal | Self::NotEqual))?;
        let order = one.compare(other);
        Ok(match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        })
    }
}

/// An update: `SET` of attributes to values, to others, and to sums and differences of these.
#[derive(Debug)]
pub(super) struct Update(Vec<Set>);

#[derive(Debug)]
struct Set {
    name: String,
    value: Operand,
    /// What is added to the value, or subtracted from it.
    change: Option<(Sign, Operand)>,
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    Plus,
    Minus,
}

#[derive(Debug)]
enum Operand {
    Name(String),
    Value(String),
}

impl Parse for Update {
    fn parse(tokens: &mut Tokens<'_>) -> Mine<Self> {
        tokens.expect(Token::Word("SET"))?;
        let mut sets = vec![Set::parse(tokens)?];
        while tokens.take(Token::Sign(","))? {
            sets.push(Set::parse(tokens)?);
        }
        require(sets.len() <= SETS_MAX)?;
        Ok(Self(sets))
    }
}

impl Set {
    fn parse(tokens: &mut Tokens<'_>) -> Mine<Self> {
        let name = tokens.name()?.to_owned();
        tokens.expect(Token::Sign("="))?;
        let value = Operand::parse(tokens)?;
        let sign = if tokens.take(Token::Sign("+"))? {
            Some(Sign::Plus)
        } else if tokens.take(Token::Sign("-"))? {
            Some(Sign::Minus)
        } else {
            None
        };
        let change = sign.map(|sign| Mine::Ok((sign, Operand::parse(tokens)?))).transpose()?;
        Ok(Self { name, value, change })
    }
}

impl Operand {
    fn parse(tokens: &mut Tokens<'_>) -> Mine<Self> {
        match tokens.next()? {
            Some(Token::Name(name)) => Ok(Self::Name(name.to_owned())),
            Some(Token::Value(value)) => Ok(Self::Value(value.to_owned())),
            _ => Err(NotMine),
        }
    }

    /// Returns the operand as JSON.
    fn json<'a>(&self, scope: &Scope<'a>, item: &Attributes<'a>) -> Mine<&'a str> {
        match self {
            Self::Name(name) => Ok(item.get(scope.name(name)?).ok_or(NotMine)?.get()),
            Self::Value(value) => scope.json(value),
        }
    }

    fn number(&self, scope: &Scope<'_>, item: &Attributes<'_>) -> Mine<i128> {
        match self {
            Self::Name(name) => value_of(item.get(scope.name(name)?).ok_or(NotMine)?)?.number(),
            Self::Value(value) => scope.value(value)?.number(),
        }
    }
}

impl Update {
    /// Requires what the engine requires before it looks at the item: each attribute is set once, and sums are of numbers.
    pub(super) fn check(&self, scope: &Scope<'_>) -> Mine<()> {
        require_distinct(self.0.iter().map(|set| scope.name(&set.name)).collect::<Mine<_>>()?)?;
        let sums = self.0.iter().filter_map(|set| set.change.as_ref().map(|(_, by)| [&set.value, by]));
        for operand in sums.flatten() {
            if let Operand::Value(value) = operand {
                scope.value(value)?.number()?;
            }
        }
        Ok(())
    }

    /// Returns the attributes that an update of `item` sets, with their new values as JSON.
    pub(super) fn new_values<'a>(
        &self,
        scope: &Scope<'a>,
        item: &Attributes<'a>,
    ) -> Mine<Vec<(&'a str, Cow<'a, str>)>> {
        let mut new: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(self.0.len());
        for set in &self.0 {
            let name = scope.name(&set.name)?;
            let value = match &set.change {
                None => Cow::Borrowed(set.value.json(scope, item)?),
                Some((sign, by)) => {
                    let (value, by) = (set.value.number(scope, item)?, by.number(scope, item)?);
                    let sum = match sign {
                        Sign::Plus => value.checked_add(by),
                        Sign::Minus => value.checked_sub(by),
                    };
                    Cow::Owned(number_json(sum.ok_or(NotMine)?)?)
                }
            };
            new.push((name, value));
        }
        Ok(new)
    }
}

/// The condition of a query.
#[derive(Debug)]
pub(super) struct KeyCondition {
    /// The name and the value of the partition key.
    pub(super) partition: (String, String),
    /// The name of the sort key, and its condition.
    pub(super) sort: Option<(String, SortCondition)>,
}

/// The condition on a sort key.
#[derive(Debug)]
pub(super) enum SortCondition {
    /// It begins with a value.
    BeginsWith(String),
    /// It is between two values, or one of them.
    Between(String, String),
}

impl Parse for KeyCondition {
    fn parse(tokens: &mut Tokens<'_>) -> Mine<Self> {
        let name = tokens.name()?.to_owned();
        tokens.expect(Token::Sign("="))?;
        let partition = (name, tokens.value()?.to_owned());
        if !tokens.take(Token::Word("AND"))? {
            return Ok(Self { partition, sort: None });
        }
        let sort = if tokens.take(Token::Word("begins_with"))? {
            tokens.expect(Token::Sign("("))?;
            let name = tokens.name()?.to_owned();
            tokens.expect(Token::Sign(","))?;
            let prefix = tokens.value()?.to_owned();
            tokens.expect(Token::Sign(")"))?;
            (name, SortCondition::BeginsWith(prefix))
        } else {
            let name = tokens.name()?.to_owned();
            tokens.expect(Token::Word("BETWEEN"))?;
            let first = tokens.value()?.to_owned();
            tokens.expect(Token::Word("AND"))?;
            (name, SortCondition::Between(first, tokens.value()?.to_owned()))
        };
        Ok(Self { partition, sort: Some(sort) })
    }
}

/// The attributes that are returned.
#[derive(Debug)]
pub(super) struct Projection(Vec<String>);

impl Parse for Projection {
    fn parse(tokens: &mut Tokens<'_>) -> Mine<Self> {
        let mut names = vec![tokens.name()?.to_owned()];
        while tokens.take(Token::Sign(","))? {
            names.push(tokens.name()?.to_owned());
        }
        Ok(Self(names))
    }
}

impl Projection {
    /// Returns the names of the attributes.
    pub(super) fn names<'a>(&self, scope: &Scope<'a>) -> Mine<Vec<&'a str>> {
        let names = self.0.iter().map(|name| scope.name(name)).collect::<Mine<Vec<_>>>()?;
        require_distinct(names.clone())?;
        Ok(names)
    }
}

fn require_distinct(mut names: Vec<&str>) -> Mine<()> {
    names.sort_unstable();
    require(names.windows(2).all(|pair| pair[0] != pair[1]))
}
