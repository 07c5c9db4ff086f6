//! The words of an expression.

use super::{Mine, NotMine, require};

/// The most bytes of an expression, as AWS limits it.
const EXPRESSION_BYTES_MAX: usize = 4096;

/// One word of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `#name`, a placeholder of an attribute's name.
    Name(&'a str),
    /// `:value`, a placeholder of a value.
    Value(&'a str),
    /// A keyword or the name of a function, such as `AND`.
    Word(&'a str),
    /// An operator or punctuation.
    Sign(&'a str),
}

/// The words of an expression that are not read yet.
#[derive(Debug)]
pub(super) struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    /// Begins to read an expression.
    pub(super) fn new(expression: &'a str) -> Mine<Self> {
        require(expression.len() <= EXPRESSION_BYTES_MAX)?;
        Ok(Self(expression))
    }

    /// Returns the next word, or `None` at the end.
    pub(super) fn next(&mut self) -> Mine<Option<Token<'a>>> {
        let text = self.0.trim_ascii_start();
        let Some(first) = text.bytes().next() else { return Ok(None) };
        let rest = &text.as_bytes()[1..];
        let word = 1 + rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let (token, length) = match first {
            b'#' if word > 1 => (Token::Name(&text[..word]), word),
            b':' if word > 1 => (Token::Value(&text[..word]), word),
            b'<' if matches!(rest.first(), Some(b'>' | b'=')) => (Token::Sign(&text[..2]), 2),
            b'>' if rest.first() == Some(&b'=') => (Token::Sign(&text[..2]), 2),
            b'<' | b'>' | b'=' | b'(' | b')' | b',' | b'+' | b'-' => (Token::Sign(&text[..1]), 1),
            byte if byte.is_ascii_alphabetic() => (Token::Word(&text[..word]), word),
            _ => return Err(NotMine),
        };
        self.0 = &text[length..];
        Ok(Some(token))
    }

    /// Returns the next word without reading it.
    pub(super) fn peek(&self) -> Mine<Option<Token<'a>>> {
        Tokens(self.0).next()
    }

    /// Reads the next word if it is `token`. Returns whether it was.
    pub(super) fn take(&mut self, token: Token<'_>) -> Mine<bool> {
        let is_next = self.peek()? == Some(token);
        if is_next {
            self.next()?;
        }
        Ok(is_next)
    }

    /// Reads `token`.
    pub(super) fn expect(&mut self, token: Token<'_>) -> Mine<()> {
        require(self.next()? == Some(token))
    }

    /// Reads a placeholder of a name.
    pub(super) fn name(&mut self) -> Mine<&'a str> {
        match self.next()? {
            Some(Token::Name(name)) => Ok(name),
            _ => Err(NotMine),
        }
    }

    /// Reads a placeholder of a value.
    pub(super) fn value(&mut self) -> Mine<&'a str> {
        match self.next()? {
            Some(Token::Value(value)) => Ok(value),
            _ => Err(NotMine),
        }
    }

    /// Requires that everything has been read.
    pub(super) fn end(&mut self) -> Mine<()> {
        require(self.next()?.is_none())
    }
}
