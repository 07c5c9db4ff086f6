//! As much HTTP/1.1 as load and receivers need, by hand: whatever they spend, the process that is measured lacks.

use anyhow::Context;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A message's head: everything up to the empty line.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Bytes of the head.
    pub(crate) bytes: usize,
    /// Bytes of the body that follows.
    pub(crate) content_length: usize,
    /// The request line or the status line.
    pub(crate) first_line: String,
}

/// The head at the beginning of `buffer`, once it is whole.
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

/// One end of a connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self::of(stream))
    }

    /// The accepting end.
    pub(crate) fn of(stream: TcpStream) -> Self {
        // Without it a small answer may wait for the other side's acknowledgement.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// Writes bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the next message, head and body; `None` where the other side has closed.
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
        Ok(Answer { status: status.context("no status")?, body })
    }
}

/// A request with a JSON body, ready to be written.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in [("Content-Type", "application/json")].iter().chain(headers) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.extend(["\r\n", body]);
    request.into_bytes()
}
