//! An HTTP/1.1 client made of a socket: it sends the bytes it is given and reads answers one by one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use prost::Message as _;

use super::status::Status;

/// One connection.
pub struct HttpClient(BufReader<TcpStream>);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A POST of protobuf to the traces path; `headers` replace what it has.
pub fn post(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    post_to("/v1/traces", headers, body)
}

/// The same to any path.
pub fn post_to(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let given = |name: &str| headers.iter().any(|(given, _)| *given == name);
    let own = [
        ("content-type", "application/x-protobuf"),
        ("content-length", length.as_str()),
    ];
    let own = own.iter().filter(|(name, _)| !given(name));
    request(&format!("POST {path}"), own.chain(headers), body)
}

/// The same, chunked.
pub fn post_chunked(headers: &[(&str, &str)], chunks: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in chunks {
        body.extend_from_slice(&chunk(part));
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let own = [
        ("content-type", "application/x-protobuf"),
        ("transfer-encoding", "chunked"),
    ];
    request("POST /v1/traces", own.iter().chain(headers), &body)
}

/// One chunk with its size.
pub fn chunk(part: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
}

/// A request: `POST /v1/traces`, headers, body.
pub fn request<'a>(
    line: &str,
    headers: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{line} HTTP/1.1\r\nhost: engine\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

impl HttpClient {
    /// Opens a connection.
    pub fn connect(address: SocketAddr) -> HttpClient {
        HttpClient(BufReader::new(super::connect(address)))
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("bytes are taken");
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Ends this side of the connection.
    pub fn end(&mut self) {
        let ended = self.0.get_ref().shutdown(std::net::Shutdown::Write);
        ended.expect("an open connection");
    }

    /// Reads the next answer.
    pub fn answer(&mut self) -> Answer {
        let line = self.line();
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            match line.split_once(": ") {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None => break,
            }
        }
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        let length = answer.header("content-length").unwrap_or("0");
        let length = length.parse().expect("a length");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        answer.body = body;
        answer
    }

    /// The connection ends here in order: no byte more, and no reset.
    pub fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        let ended = self.0.read_to_end(&mut rest);
        let shown = String::from_utf8_lossy(&rest);
        assert!(matches!(ended, Ok(0)), "{ended:?} after {shown:?}");
    }

    /// Everything up to the end of the connection, which must not be a reset.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("bytes, then an end");
        String::from_utf8_lossy(&rest).into_owned()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        assert!(line.ends_with("\r\n"), "cut short: {line:?}");
        line.truncate(line.len() - 2);
        line
    }
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as the `google.rpc.Status` in protobuf that it must be.
    pub fn rpc_status(&self) -> Status {
        assert_eq!(
            self.header("content-type"),
            Some("application/x-protobuf"),
            "{self:?}"
        );
        Status::decode(&self.body[..]).expect("a google.rpc.Status")
    }
}
