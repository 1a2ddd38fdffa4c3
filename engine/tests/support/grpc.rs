//! A gRPC client that sends what no library would: any headers, any frames, any number of calls at once.
//! It shows each answer as it came.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use prost::Message as _;
use tokio::runtime::Runtime;

use super::PATIENCE;
use super::status::Status;

/// The method that takes traces.
pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// One HTTP/2 connection.
pub struct GrpcClient {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

/// A call to be made.
pub struct Call {
    /// The method's path.
    pub path: &'static str,
    /// Headers; begins as what gRPC wants.
    pub headers: Vec<(&'static str, &'static str)>,
    /// DATA frames, or parts that h2 splits into frames.
    pub data: Vec<Bytes>,
    /// Whether the call ends its side after these.
    pub end: bool,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP's own status.
    pub http: u16,
    /// The first headers.
    pub headers: HeaderMap,
    /// The body.
    pub data: Vec<u8>,
    /// The headers that say how it went: trailers, or the first headers when there is nothing else.
    pub outcome: HeaderMap,
}

/// A message with its prefix.
pub fn message(flag: u8, body: &[u8]) -> Bytes {
    prefixed(flag, body.len() as u32, body)
}

/// A message whose prefix says what it likes.
pub fn prefixed(flag: u8, length: u32, body: &[u8]) -> Bytes {
    [&[flag][..], &length.to_be_bytes(), body].concat().into()
}

impl Call {
    /// Export of these DATA frames.
    pub fn new(data: impl IntoIterator<Item = Bytes>) -> Call {
        Call {
            path: EXPORT,
            headers: vec![("content-type", "application/grpc"), ("te", "trailers")],
            data: data.into_iter().collect(),
            end: true,
        }
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Call {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }
}

impl GrpcClient {
    /// Opens a connection.
    pub fn connect(address: SocketAddr) -> GrpcClient {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await;
            let stream = stream.expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(async move {
                // A call that needs the connection says that it is gone.
                let _ = connection.await;
            });
            sender
        });
        GrpcClient { runtime, sender }
    }

    /// Makes a call and waits for its answer.
    pub fn call(&mut self, call: Call) -> Answer {
        self.calls([call]).remove(0)
    }

    /// Begins these calls at once, and waits for their answers.
    pub fn calls(&mut self, calls: impl IntoIterator<Item = Call>) -> Vec<Answer> {
        let GrpcClient { runtime, sender } = self;
        let all = async {
            let mut begun = Vec::new();
            for call in calls {
                begun.push(begin(sender, call).await?);
            }
            let mut answers = Vec::new();
            for (response, sending) in begun {
                answers.push(finish(response).await?);
                drop(sending);
            }
            Ok::<_, h2::Error>(answers)
        };
        let answers = runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await });
        let answers = answers.expect("answers before patience ends");
        answers.unwrap_or_else(|error| panic!("no answer: {error}"))
    }
}

async fn begin(
    sender: &mut SendRequest<Bytes>,
    call: Call,
) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
    std::future::poll_fn(|context| sender.poll_ready(context)).await?;
    let mut request = Request::post(format!("http://engine{}", call.path));
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(()).expect("a request");
    let (response, mut stream) = sender.send_request(request, call.data.is_empty() && call.end)?;
    let last = call.data.len().wrapping_sub(1);
    for (index, data) in call.data.into_iter().enumerate() {
        // An error here means that the answer is there already.
        let _ = stream.send_data(data, index == last && call.end);
    }
    Ok((response, stream))
}

async fn finish(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut data = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        data.extend_from_slice(&part);
    }
    let trailers = body.trailers().await?;
    Ok(Answer {
        http: head.status.as_u16(),
        outcome: trailers.unwrap_or_else(|| head.headers.clone()),
        headers: head.headers,
        data,
    })
}

impl Answer {
    /// `grpc-status`, which every gRPC answer has.
    pub fn code(&self) -> i32 {
        let code = self.outcome.get("grpc-status");
        let code = code.unwrap_or_else(|| panic!("no grpc-status: {self:?}"));
        code.to_str()
            .ok()
            .and_then(|code| code.parse().ok())
            .expect("a number")
    }

    /// The one message that a call which succeeded is answered with.
    pub fn response(&self) -> &[u8] {
        let (prefix, message) = self.data.split_first_chunk::<5>().expect("a prefix");
        let length = (message.len() as u32).to_be_bytes();
        let [flag, given @ ..] = *prefix;
        assert_eq!((flag, given), (0, length), "one message, not compressed");
        message
    }

    /// `grpc-message`, unescaped.
    pub fn message(&self) -> String {
        let message = self.outcome.get("grpc-message");
        let message = percent_encoding::percent_decode(message.map_or(b"", |text| text.as_bytes()));
        message.decode_utf8().expect("text").into_owned()
    }

    /// The status in `grpc-status-details-bin`.
    pub fn details(&self) -> Option<Status> {
        let details = self.outcome.get("grpc-status-details-bin")?;
        let details = STANDARD_NO_PAD.decode(details).expect("base64");
        Some(Status::decode(&details[..]).expect("a google.rpc.Status"))
    }
}
