//! ClickHouse's HTTP interface, as far as clients need it that insert: every INSERT is confirmed and dropped as
//! it comes, a few questions of clients that connect are answered, and everything else is agreed to. It keeps
//! nothing and knows no tables, so that a client which asks for their columns needs a real server.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::received::Counter;

/// What the sink calls itself: new enough for clients that ask.
const VERSION: &str = "26.7.1.1";
/// Bytes of a request's head, and of a statement that is looked at; what is longer is dropped like rows.
const HEAD_BYTES_MAX: usize = 64 << 10;
const STATEMENT_BYTES_MAX: usize = 64 << 10;

/// Answers at `address` from a thread of its own, until the process ends; gives back where that is.
///
/// # Errors
/// When it cannot listen there.
pub fn start(address: SocketAddr, counter: Arc<Counter>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let name = thread::Builder::new().name("null-http".into());
    name.spawn(move || runtime.block_on(serve(listener, counter)))?;
    Ok(address)
}

async fn serve(listener: TcpListener, counter: Arc<Counter>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let counter = Arc::clone(&counter);
        let service = service_fn(move |request| answer(request, Arc::clone(&counter)));
        let connection = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // A client that goes away in the midst of a request is no fault of the sink's.
        tokio::spawn(connection);
    }
}

async fn answer(
    request: Request<Incoming>,
    counter: Arc<Counter>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path == "/ping" || path == "/replicas_status" {
        return Ok(said("Ok.\n"));
    }
    let mut statement = request.uri().query().map(parameter).unwrap_or_default();
    let is_in_body = statement.trim().is_empty();
    let mut body = request.into_body();
    let mut held = Vec::new();
    let mut is_whole = body.is_end_stream();
    while !is_whole {
        let Some(frame) = body.frame().await else {
            is_whole = true;
            break;
        };
        let Ok(frame) = frame else { break };
        if let Some(data) = frame.data_ref() {
            counter.add_bytes(data.len());
            if is_in_body && held.len() < STATEMENT_BYTES_MAX {
                let room = STATEMENT_BYTES_MAX - held.len();
                held.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
    }
    if is_in_body {
        statement = String::from_utf8_lossy(&held).into_owned();
    }
    let words = statement.trim_start();
    if words
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case("insert"))
    {
        if is_whole {
            counter.add_insert();
        }
        return Ok(said(""));
    }
    Ok(said(&reply(words)))
}

/// What a SELECT is answered, in the text of TabSeparated; a statement that asks nothing is agreed to.
fn reply(statement: &str) -> String {
    let statement = statement.to_ascii_lowercase();
    let first = statement.split_whitespace().take(2).collect::<Vec<_>>();
    match first.as_slice() {
        ["select", what] if what.starts_with("version()") => format!("{VERSION}\n"),
        ["select", what] if what.starts_with("timezone()") => "UTC\n".to_owned(),
        ["select", what] if what.trim_end_matches(';') == "1" => "1\n".to_owned(),
        _ => String::new(),
    }
}

fn said(text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.to_owned()));
    let headers = response.headers_mut();
    for (name, value) in [
        (
            CONTENT_TYPE.as_str(),
            "text/tab-separated-values; charset=UTF-8",
        ),
        ("x-clickhouse-server-display-name", "a sink"),
        ("x-clickhouse-timezone", "UTC"),
        ("x-clickhouse-format", "TabSeparated"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The parameter `query` of a URL's query, decoded.
fn parameter(query: &str) -> String {
    let mut pairs = query.split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix("query="));
    let spaced = value.unwrap_or_default().replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced);
    decoded.decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    fn sink() -> (SocketAddr, Arc<Counter>) {
        let counter = Arc::new(Counter::default());
        let address = start((Ipv4Addr::LOCALHOST, 0).into(), Arc::clone(&counter)).unwrap();
        (address, counter)
    }

    /// Sends these bytes on a connection that the last request closes, and gives back all answers.
    fn answers(address: SocketAddr, requests: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Scenario: one connection brings a statement in the URL with rows in chunks, an INSERT that is in the body
    /// itself, a table's definition, and questions. Guarantee: each is answered with 200 and the words that clients
    /// wait for, INSERTs with none, and the counts are those of the INSERTs and of all bytes.
    #[test]
    fn inserts_are_confirmed_and_questions_answered() {
        let (address, counter) = sink();
        let text = answers(
            address,
            "POST /?database=d&query=insert+into%20t%20FORMAT%20RowBinary HTTP/1.1\r\nhost: s\r\n\
             transfer-encoding: chunked\r\n\r\n5\r\nrows!\r\n3\r\nend\r\n0\r\n\r\n\
             POST / HTTP/1.1\r\nhost: s\r\ncontent-length: 40\r\n\r\n\
             INSERT INTO t FORMAT JSONEachRow {\"a\":1}\
             POST / HTTP/1.1\r\nhost: s\r\ncontent-length: 14\r\n\r\nCREATE TABLE t\
             GET /?query=SELECT%20version() HTTP/1.1\r\nhost: s\r\n\r\n\
             GET /?query=SELECT+1 HTTP/1.1\r\nhost: s\r\n\r\n\
             GET /ping HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n",
        );
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 6, "{text}");
        assert_eq!(text.matches("content-length: 0").count(), 3, "{text}");
        for said in ["\r\n\r\n26.7.1.1\n", "\r\n\r\n1\n", "\r\n\r\nOk.\n"] {
            assert!(text.contains(said), "{said:?} in {text}");
        }
        let received = counter.received();
        assert_eq!((received.inserts, received.bytes), (2, 8 + 40 + 14));
    }

    /// Scenario: an INSERT breaks off before the length that it announced. Guarantee: it is not counted.
    #[test]
    fn half_an_insert_is_none() {
        let (address, counter) = sink();
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "POST /?query=INSERT HTTP/1.1\r\nhost: s\r\ncontent-length: 9\r\n\r\nhalf";
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Ends when the sink has noticed.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(counter.received().inserts, 0);
    }
}
