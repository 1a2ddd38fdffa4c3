//! A receiver of OTLP on a free port, in a thread of its own: it decodes what comes with prost or serde, notes
//! it, and reacts as a test says.
#![allow(dead_code, reason = "each test binary uses its part of this")]

use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the receiver does with a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reaction {
    Store,
    /// Stores all but so many.
    Partial(u64),
    /// gRPC's code with RetryInfo of so many milliseconds, or HTTP's status with Retry-After of so many seconds.
    Refuse(u16, Option<u64>),
    /// Stores when [`Receiver::release`] is called.
    Hold,
    /// Ends the connection without an answer.
    Close,
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) signal: &'static str,
    pub(crate) items: u64,
    /// The latest time in it, in nanoseconds since 1970.
    pub(crate) latest: u64,
    /// Of spans and log records.
    pub(crate) ids: Vec<Vec<u8>>,
    pub(crate) reaction: Reaction,
}

type React = dyn Fn(usize) -> Reaction + Send + Sync;

/// A receiver that runs until it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    count: AtomicUsize,
    react: Box<React>,
    released: watch::Sender<bool>,
}

impl Receiver {
    /// `react` is asked with the number of the request, from 0 on.
    pub(crate) fn start(
        grpc: bool,
        react: impl Fn(usize) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            count: AtomicUsize::new(0),
            react: Box::new(react),
            released: watch::Sender::new(false),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let serves = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let stream = tokio::select! {
                        _ = stopped.changed() => return,
                        stream = listener.accept() => stream.unwrap().0,
                    };
                    let shared = Arc::clone(&serves);
                    if grpc {
                        tokio::spawn(grpc_connection(stream, shared));
                    } else {
                        tokio::spawn(http_connection(stream, shared));
                    }
                }
            });
        });
        Receiver {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn release(&self) {
        self.shared.released.send_replace(true);
    }

    pub(crate) fn released(&self) -> watch::Sender<bool> {
        self.shared.released.clone()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Items of a signal that it has stored.
    pub(crate) fn stored(&self, signal: &str) -> u64 {
        let received = self.received();
        let stored = received.iter().filter(|received| received.signal == signal);
        stored
            .map(|received| match received.reaction {
                Reaction::Store | Reaction::Hold => received.items,
                Reaction::Partial(rejected) => received.items - rejected,
                Reaction::Refuse(..) | Reaction::Close => 0,
            })
            .sum()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

impl Shared {
    fn take(&self, path: &str, json: bool, plain: &[u8]) -> Reaction {
        let reaction = (self.react)(self.count.fetch_add(1, Ordering::SeqCst));
        let mut received = decode(path, json, plain);
        received.reaction = reaction.clone();
        self.received.lock().unwrap().push(received);
        reaction
    }

    async fn wait(&self) {
        self.released
            .subscribe()
            .wait_for(|released| *released)
            .await
            .unwrap();
    }
}

fn decode(path: &str, json: bool, plain: &[u8]) -> Received {
    fn read<M: Message + Default + for<'a> serde::Deserialize<'a>>(json: bool, plain: &[u8]) -> M {
        match json {
            true => serde_json::from_slice(plain).unwrap(),
            false => M::decode(plain).unwrap(),
        }
    }
    let (signal, ids, times): (_, Vec<_>, Vec<_>) = if path.contains("race") {
        let request: ExportTraceServiceRequest = read(json, plain);
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|of| of.scope_spans);
        let spans: Vec<_> = scopes.flat_map(|of| of.spans).collect();
        let times = spans.iter().map(|span| {
            let events = span.events.iter().map(|event| event.time_unix_nano);
            events.chain([span.end_time_unix_nano]).max().unwrap()
        });
        (
            "traces",
            spans.iter().map(|span| span.span_id.clone()).collect(),
            times.collect(),
        )
    } else if path.contains("ogs") {
        let request: ExportLogsServiceRequest = read(json, plain);
        let scopes = request
            .resource_logs
            .into_iter()
            .flat_map(|of| of.scope_logs);
        let records: Vec<_> = scopes.flat_map(|of| of.log_records).collect();
        let times = records
            .iter()
            .map(|record| record.time_unix_nano.max(record.observed_time_unix_nano));
        ("logs", Vec::new(), times.collect())
    } else {
        assert!(path.contains("etrics"), "{path}");
        let request: ExportMetricsServiceRequest = read(json, plain);
        let scopes = request
            .resource_metrics
            .into_iter()
            .flat_map(|of| of.scope_metrics);
        let metrics = scopes.flat_map(|of| of.metrics);
        let times = metrics.flat_map(|metric| -> Vec<u64> {
            match metric.data.unwrap() {
                Data::Gauge(of) => of
                    .data_points
                    .iter()
                    .map(|point| point.time_unix_nano)
                    .collect(),
                Data::Sum(of) => of
                    .data_points
                    .iter()
                    .map(|point| point.time_unix_nano)
                    .collect(),
                Data::Histogram(of) => of
                    .data_points
                    .iter()
                    .map(|point| point.time_unix_nano)
                    .collect(),
                Data::ExponentialHistogram(of) => of
                    .data_points
                    .iter()
                    .map(|point| point.time_unix_nano)
                    .collect(),
                Data::Summary(of) => of
                    .data_points
                    .iter()
                    .map(|point| point.time_unix_nano)
                    .collect(),
            }
        });
        ("metrics", Vec::new(), times.collect())
    };
    Received {
        signal,
        items: times.len() as u64,
        latest: times.into_iter().max().unwrap(),
        ids,
        reaction: Reaction::Store,
    }
}

fn unpacked(encoding: &str, packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match encoding {
        "identity" => plain.extend_from_slice(packed),
        "gzip" => {
            flate2::read::GzDecoder::new(packed)
                .read_to_end(&mut plain)
                .unwrap();
        }
        "zstd" => {
            plain.reserve(16 << 20);
            zstd_safe::decompress(&mut plain, packed).unwrap();
        }
        other => panic!("{other}"),
    }
    plain
}

fn partial(rejected: u64) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: rejected as i64,
            error_message: "too old".into(),
        }),
    }
}

async fn grpc_connection(stream: TcpStream, shared: Arc<Shared>) {
    let builder = h2::server::Builder::new()
        .initial_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .handshake(stream);
    // One that only looks whether somebody listens says nothing.
    let Ok(mut connection) = builder.await else {
        return;
    };
    let (close, mut closed) = watch::channel(false);
    loop {
        let call = tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            call = connection.accept() => call,
        };
        let Some(Ok((request, respond))) = call else {
            return;
        };
        let (shared, close) = (Arc::clone(&shared), close.clone());
        tokio::spawn(async move { grpc_call(request, respond, &shared, &close).await });
    }
}

async fn grpc_call(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    shared: &Shared,
    close: &watch::Sender<bool>,
) {
    let (head, mut stream) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(Ok(data)) = stream.data().await {
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    assert_eq!(head.headers["content-type"], "application/grpc");
    let encoding = head.headers["grpc-encoding"].to_str().unwrap();
    assert_eq!(body[0] == 1, encoding != "identity");
    let plain = unpacked(encoding, &body[5..]);
    let reaction = shared.take(head.uri.path(), false, &plain);
    let mut response = Response::builder().header("content-type", "application/grpc");
    let answer = match reaction {
        Reaction::Close => {
            close.send_replace(true);
            return;
        }
        Reaction::Refuse(code, delay) => {
            response = response
                .header("grpc-status", code)
                .header("grpc-message", "not%20now");
            if let Some(delay) = delay {
                response = response.header("grpc-status-details-bin", retry_info(delay));
            }
            drop(respond.send_response(response.body(()).unwrap(), true));
            return;
        }
        Reaction::Hold => {
            shared.wait().await;
            ExportTraceServiceResponse::default()
        }
        Reaction::Store => ExportTraceServiceResponse::default(),
        Reaction::Partial(rejected) => partial(rejected),
    };
    let message = answer.encode_to_vec();
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    // The caller may have given up meanwhile.
    if let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) {
        drop(stream.send_data(framed.freeze(), false));
        drop(stream.send_trailers(trailers));
    }
}

/// `google.rpc.Status` with a RetryInfo, by hand: this side shares no code with the sender's.
fn retry_info(millis: u64) -> String {
    use base64::Engine as _;
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let mut nanos = vec![2 << 3];
    prost::encoding::encode_varint(millis * 1_000_000, &mut nanos);
    let info = field(1, &nanos);
    let name = b"type.googleapis.com/google.rpc.RetryInfo";
    let any = [field(1, name), field(2, &info)].concat();
    base64::prelude::BASE64_STANDARD_NO_PAD.encode(field(3, &any))
}

async fn http_connection(stream: TcpStream, shared: Arc<Shared>) {
    let (close, mut closed) = watch::channel(false);
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let (shared, close) = (Arc::clone(&shared), close.clone());
        async move { Ok::<_, Infallible>(http_call(request, &shared, &close).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = closed.wait_for(|closed| *closed) => {}
        ended = connection => drop(ended),
    }
}

async fn http_call(
    request: http::Request<Incoming>,
    shared: &Shared,
    close: &watch::Sender<bool>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json = match head.headers["content-type"].to_str().unwrap() {
        "application/json" => true,
        "application/x-protobuf" => false,
        other => panic!("{other}"),
    };
    let encoding = head.headers.get("content-encoding");
    let plain = unpacked(
        encoding.map_or("identity", |encoding| encoding.to_str().unwrap()),
        &body,
    );
    let reaction = shared.take(head.uri.path(), json, &plain);
    let answer = match reaction {
        Reaction::Close => {
            close.send_replace(true);
            std::future::pending().await
        }
        Reaction::Refuse(status, after) => {
            let status = StatusCode::from_u16(status).unwrap();
            let mut response = Response::builder().status(status);
            if let Some(after) = after {
                response = response.header("retry-after", after);
            }
            return response.body(Full::from("not now")).unwrap();
        }
        Reaction::Hold => {
            shared.wait().await;
            ExportTraceServiceResponse::default()
        }
        Reaction::Store => ExportTraceServiceResponse::default(),
        Reaction::Partial(rejected) => partial(rejected),
    };
    let body = match json {
        true => serde_json::to_vec(&answer).unwrap(),
        false => answer.encode_to_vec(),
    };
    Response::new(Full::from(body))
}
