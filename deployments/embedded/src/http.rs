//! One query over ClickHouse's HTTP interface on loopback: SQL goes in, the body of the answer
//! comes out. HTTP/1.0, so the answer is neither chunked nor followed by another; never retries.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Why a query gave no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The server refused the query; its message.
    #[error("ClickHouse answered {status}: {message}")]
    Refused {
        /// The HTTP status code.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The connection failed, timed out, or carried no HTTP answer.
    #[error("no answer from ClickHouse: {0}")]
    Connection(#[from] io::Error),
}

/// The largest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Sends `sql` to the server and gives back its answer, within `timeout` in total.
///
/// # Errors
/// See [`QueryError`].
pub(crate) fn query(
    server: SocketAddr,
    sql: &str,
    timeout: Duration,
) -> Result<String, QueryError> {
    let deadline = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    // The answer waits for the whole result: an error half-way is then a refusal, not a short body.
    let line = "POST /?wait_end_of_query=1 HTTP/1.0";
    let head = format!("{line}\r\nContent-Length: {}\r\n\r\n", sql.len());
    stream.write_all(&[head.as_bytes(), sql.as_bytes()].concat())?;
    parse(&read_until(&mut stream, deadline)?)
}

fn read_until(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the answer took too long",
            ));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(answer),
            Ok(n) if answer.len() as u64 + n as u64 > ANSWER_BYTES_MAX => {
                return Err(io::Error::other("the answer is larger than 64 MiB"));
            }
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            // A signal to this process, which a read with a time-out does not resume by itself.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn parse(answer: &[u8]) -> Result<String, QueryError> {
    let text = String::from_utf8_lossy(answer);
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(bad)?;
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .ok_or_else(bad)?;
    match status.parse().map_err(|_| bad())? {
        200 => Ok(body.to_owned()),
        status => Err(QueryError::Refused {
            status,
            message: body.trim().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a result, a refusal, and something that is no HTTP. Guarantees: only the first is
    /// a result, and the refusal keeps the server's words.
    #[test]
    fn answers_are_told_apart() {
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n1\n").unwrap(), "1\n");
        let refused = parse(b"HTTP/1.0 404 Not Found\r\n\r\nCode: 60\n").unwrap_err();
        assert_eq!(refused.to_string(), "ClickHouse answered 404: Code: 60");
        for garbage in [
            &b""[..],
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.0 2\r\n\r\n",
            b"HTTP/1.1 200 OK",
        ] {
            assert!(matches!(parse(garbage), Err(QueryError::Connection(_))));
        }
    }
}
