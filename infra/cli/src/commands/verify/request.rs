//! A request that was saved as a file: a request line, header lines, an empty line, and the bytes of the body.

use crate::arguments::Header;
use domain::diagnosis::Headers;

/// A request as a receiver got it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SavedRequest {
    /// The header lines, names in lower case.
    headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub(super) body: Vec<u8>,
}

impl SavedRequest {
    /// Reads a file. One that does not begin with a request line or a header line is a body alone.
    ///
    /// # Errors
    /// A phrase for the user.
    pub(super) fn parse(file: &[u8]) -> Result<Self, String> {
        let first = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        if !is_request_line(&first) && header(&first).is_none() {
            return Ok(Self { headers: vec![], body: file.to_vec() });
        }
        let (head, body) = divide(file).ok_or("there is no empty line between the headers and the body")?;
        let head = std::str::from_utf8(head).map_err(|_| "the headers are not text")?;
        let mut headers = vec![];
        for line in head.lines().skip(usize::from(is_request_line(&first))) {
            headers.push(header(line).ok_or_else(|| format!("{line:?} is no header line"))?);
        }
        Ok(Self { headers, body: body.to_vec() })
    }

    /// Adds a header, in place of those of the same name.
    pub(super) fn set(&mut self, header: Header) {
        let name = header.name.to_ascii_lowercase();
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, header.value));
    }

    /// The header lines, names in lower case.
    pub(super) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The headers and the body, as the domain judges them.
    ///
    /// # Errors
    /// A phrase for the user, if there are too many headers.
    pub(super) fn into_parts(self) -> Result<(Headers, Vec<u8>), String> {
        Ok((Headers::new(self.headers)?, self.body))
    }
}

/// `POST /webhooks HTTP/1.1`
fn is_request_line(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    matches!(words[..], [_, _, version] if version.starts_with("HTTP/"))
}

/// Reads `Name: value`. The name is a token (RFC 9110).
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    (!name.is_empty() && name.chars().all(is_token)).then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// Divides at the first empty line, whichever line breaks the head has.
fn divide(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut start = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return Some((&file[..start], &file[end..]));
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl SavedRequest {
        fn header(&self, name: &str) -> Option<&str> {
            self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
        }
    }

    #[test]
    fn the_body_is_kept_to_the_byte() {
        for line_break in ["\r\n", "\n"] {
            let head = ["POST /hook HTTP/1.1", "Webhook-Id: evt_1", "Empty:", ""].join(line_break);
            for body in [&b"{\"a\": 1}\n"[..], b"", b"\n\n", b"\xff\x00\r\n\r\n"] {
                let file = [head.as_bytes(), line_break.as_bytes(), body].concat();
                let request = SavedRequest::parse(&file).expect("a request");
                assert_eq!(request.body, body);
                assert_eq!(request.header("webhook-id"), Some("evt_1"));
                assert_eq!(request.header("empty"), Some(""));
            }
        }
    }

    #[test]
    fn a_request_line_may_be_missing_and_so_may_the_whole_head() {
        let request = SavedRequest::parse(b"webhook-id: evt_1\n\nbody").expect("a request");
        assert_eq!((request.header("webhook-id"), request.body.as_slice()), (Some("evt_1"), &b"body"[..]));
        let mut request = SavedRequest::parse(b"{\"id\": \"evt_1\"}\n").expect("a body");
        assert_eq!(request.body, b"{\"id\": \"evt_1\"}\n");
        for value in ["evt_2", "evt_3"] {
            request.set(Header { name: "Webhook-ID".to_owned(), value: value.to_owned() });
        }
        assert_eq!(request.header("webhook-id"), Some("evt_3"));
    }

    #[test]
    fn a_head_that_does_not_end_is_refused() {
        assert!(SavedRequest::parse(b"POST / HTTP/1.1\r\nwebhook-id: evt_1\r\n").is_err());
        assert!(SavedRequest::parse(b"POST / HTTP/1.1\r\nno header\r\n\r\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(file: Vec<u8>) {
            if let Ok(request) = SavedRequest::parse(&file) {
                prop_assert!(file.ends_with(&request.body));
            }
        }
    }
}
