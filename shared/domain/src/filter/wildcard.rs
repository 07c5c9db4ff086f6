//! Wildcards: `*` stands for any number of characters, `\*` and `\\` for the characters themselves.

use super::WILDCARDS_MAX;

/// A set of wildcard texts that is matched without backtracking.
///
/// Each text is a row of states, one before each of its bytes and one after the last; a state at a `*` stays as it is whatever
/// byte comes. The states of all texts are the bits of one long integer. So one byte of a value moves all of them at once.
#[derive(Clone, Debug)]
pub(super) struct Wildcards {
    words: usize,
    /// The states before the first byte.
    start: Vec<u64>,
    /// The states at a `*`.
    stay: Vec<u64>,
    /// The states after the last byte.
    end: Vec<u64>,
    /// For each byte, which row of `moves` it has. Row 0 is for all bytes that occur in no text, and is empty.
    rows: Box<[u16; 256]>,
    /// For each row, the states that its byte moves on.
    moves: Vec<u64>,
}

/// One wildcard text, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    Any,
}

impl Wildcard {
    /// Reads a wildcard text.
    ///
    /// # Errors
    /// A phrase for the user.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut tokens, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' if tokens.last() == Some(&Token::Any) => return Err("must not have two `*` in a row".to_owned()),
                b'*' => Token::Any,
                b'\\' => match bytes.next() {
                    Some(escaped @ (b'*' | b'\\')) => Token::Byte(escaped),
                    _ => return Err(r"must have a `*` or another `\` after each `\`".to_owned()),
                },
                byte => Token::Byte(byte),
            });
        }
        if tokens.iter().filter(|token| **token == Token::Any).count() > WILDCARDS_MAX {
            return Err(format!("must have at most {WILDCARDS_MAX} `*`"));
        }
        Ok(Self(tokens))
    }
}

impl Wildcards {
    /// Creates the set, or `None` if there are no texts.
    pub(super) fn new(texts: &[Wildcard]) -> Option<Self> {
        if texts.is_empty() {
            return None;
        }
        let bytes = |text: &Wildcard| text.0.iter().filter(|token| **token != Token::Any).count();
        let words = texts.iter().map(|text| bytes(text) + 1).sum::<usize>().div_ceil(64);
        let empty = vec![0; words];
        let mut set = Self {
            words,
            start: empty.clone(),
            stay: empty.clone(),
            end: empty.clone(),
            rows: Box::new([0; 256]),
            moves: empty,
        };
        let mut state = 0;
        for text in texts {
            set_bit(&mut set.start, state);
            for token in &text.0 {
                match token {
                    Token::Any => set_bit(&mut set.stay, state),
                    Token::Byte(byte) => {
                        set_bit(set.row(*byte), state);
                        state += 1;
                    }
                }
            }
            set_bit(&mut set.end, state);
            state += 1;
        }
        Some(set)
    }

    /// Returns the row of a byte, to be filled.
    fn row(&mut self, byte: u8) -> &mut [u64] {
        let row = &mut self.rows[usize::from(byte)];
        if *row == 0 {
            *row = (self.moves.len() / self.words) as u16;
            self.moves.resize(self.moves.len() + self.words, 0);
        }
        let from = usize::from(*row) * self.words;
        &mut self.moves[from..from + self.words]
    }

    /// Whether one of them matches the whole of `value`.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        let mut states = self.start.clone();
        for byte in value {
            let from = usize::from(self.rows[usize::from(*byte)]) * self.words;
            let moves = &self.moves[from..from + self.words];
            let mut carry = 0;
            for ((word, moves), stay) in states.iter_mut().zip(moves).zip(&self.stay) {
                let leaving = *word & moves;
                *word = (leaving << 1) | carry | (*word & stay);
                carry = leaving >> 63;
            }
        }
        states.iter().zip(&self.end).any(|(state, end)| state & end != 0)
    }

    /// How many operations one byte of a value costs.
    #[cfg(test)]
    pub(super) fn words(&self) -> usize {
        self.words
    }
}

fn set_bit(words: &mut [u64], bit: usize) {
    words[bit / 64] |= 1 << (bit % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tries every split of the value at each `*`.
    fn naive(tokens: &[Token], value: &[u8]) -> bool {
        match tokens.split_first() {
            None => value.is_empty(),
            Some((Token::Byte(byte), rest)) => value.first() == Some(byte) && naive(rest, &value[1..]),
            Some((Token::Any, rest)) => (0..=value.len()).any(|skipped| naive(rest, &value[skipped..])),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_set_matches_what_trying_each_text_matches(
            texts in prop::collection::vec(r"(\\\*|\\\\|[ab]{0,40}){0,2}\*?[abé]{0,3}\*?[ab]{0,2}", 1..9), value in r"[ab*\\é]{0,45}"
        ) {
            let texts: Vec<_> = texts.iter().filter_map(|text| Wildcard::parse(text).ok()).collect();
            let set = Wildcards::new(&texts);
            let expected = texts.iter().any(|text| naive(&text.0, value.as_bytes()));
            prop_assert_eq!(set.is_some_and(|set| set.matches(value.as_bytes())), expected);
        }
    }

    #[test]
    fn a_text_over_several_words_matches() {
        let long = "x".repeat(200);
        let set = Wildcards::new(&[
            Wildcard::parse("no").expect("valid"),
            Wildcard::parse(&format!("a*{long}*b")).expect("valid"),
        ]);
        let set = set.expect("a set");
        assert_eq!(set.words(), 4);
        assert!(set.matches(format!("a…{long}{long}b").as_bytes()));
        assert!(!set.matches(format!("a…{}b", &long[1..]).as_bytes()));
    }

    #[test]
    fn faults_are_named() {
        for (text, part) in
            [("a**b", "in a row"), (r"a\b", "after each"), (r"a\", "after each"), ("*a*b*c*", "at most 3")]
        {
            let fault = Wildcard::parse(text).expect_err(text);
            assert!(fault.contains(part), "{text}: {fault}");
        }
        assert!(Wildcard::parse(r"*\**\*\\*").is_ok());
    }
}
