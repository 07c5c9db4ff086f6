//! The part of HTTP/1.1 that the load and the receivers need. It is written by hand to use little
//! CPU, which the measured process would otherwise lack.

use anyhow::Context;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A message's head: everything up to the empty line, that line included.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The head's size in bytes.
    pub(crate) bytes: usize,
    /// The body's size in bytes.
    pub(crate) content_length: usize,
    /// The request line or the status line.
    pub(crate) first_line: String,
}

/// Reads the head at the beginning of `buffer`, or returns `None` if it is not complete.
fn head(buffer: &[u8]) -> Option<Head> {
    let bytes = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..bytes]).ok()?;
    let mut lines = text.split("\r\n");
    let first_line = lines.next()?.to_owned();
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some(Head { bytes, content_length: length.unwrap_or(0), first_line })
}

/// One end of a connection that is kept open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Connects to `address`.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self::of(stream))
    }

    /// Wraps a connected stream.
    pub(crate) fn of(stream: TcpStream) -> Self {
        // Otherwise a small answer may wait for the other side's acknowledgement.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// Writes bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the head and the body of the next message. Returns `None` if the other side has closed
    /// the connection.
    pub(crate) async fn read(&mut self) -> std::io::Result<Option<(Head, Vec<u8>)>> {
        let head = loop {
            if let Some(head) = head(&self.buffer) {
                break head;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        };
        let end = head.bytes + head.content_length;
        while self.buffer.len() < end {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        let body = self.buffer[head.bytes..end].to_vec();
        self.buffer.drain(..end);
        Ok(Some((head, body)))
    }

    /// Sends a whole request and reads its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.write(request).await?;
        let (head, body) = self.read().await?.context("the connection was closed")?;
        let status = head.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.context("the answer has no status")?, body })
    }
}

/// Returns the bytes of a request with a JSON body.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in [("Content-Type", "application/json")].iter().chain(headers) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.extend(["\r\n", body]);
    request.into_bytes()
}
