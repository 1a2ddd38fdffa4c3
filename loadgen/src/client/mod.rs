//! Connections to one endpoint, made anew when they break: a request's bytes go in, what became of them comes
//! out. It tries a request once; trying again is its caller's decision.

pub(crate) mod answer;
mod grpc;
mod http1;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::options::{Encoding, Options, Protocol};
use crate::signal::Signal;
use answer::{Failure, Outcome};

/// Where requests go to, and what stands at their head.
#[derive(Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    protocol: Protocol,
    json: bool,
    heads: [Request<()>; 3],
}

impl Target {
    pub(crate) fn new(options: &Options, address: SocketAddr) -> Self {
        Target {
            address,
            protocol: options.protocol,
            json: options.encoding == Encoding::Json,
            heads: Signal::ALL.map(|signal| head(options, signal)),
        }
    }
}

/// None of this can be malformed, but for the authority: a request without one is refused by its receiver.
fn head(options: &Options, signal: Signal) -> Request<()> {
    let compression = options.compression.name();
    let endpoint = options.endpoint();
    let agent = concat!("spanmill-loadgen/", env!("CARGO_PKG_VERSION"));
    let request = match options.protocol {
        Protocol::Grpc => Request::post(format!("http://{endpoint}{}", signal.grpc_path()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-encoding", compression),
        Protocol::Http => {
            let content = match options.encoding {
                Encoding::Protobuf => "application/x-protobuf",
                Encoding::Json => "application/json",
            };
            let request = Request::post(signal.http_path())
                .header("host", &endpoint)
                .header("content-type", content);
            match compression {
                "identity" => request,
                other => request.header("content-encoding", other),
            }
        }
    };
    request
        .header("user-agent", agent)
        .body(())
        .unwrap_or_default()
}

/// One connection, and how much is under way on it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    in_flight: Cell<usize>,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts connections, so that a call which saw an earlier one break leaves its successor alone.
    number: u64,
    sender: Option<Sender>,
}

#[derive(Debug)]
enum Sender {
    Grpc(h2::client::SendRequest<Bytes>),
    Http(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Connects, so that a wrong endpoint is known before the start.
    pub(crate) async fn open(&self, target: &Target) -> io::Result<()> {
        let sender = connect(target).await?;
        self.slot.lock().await.sender = Some(sender);
        Ok(())
    }

    /// Sends a request and awaits its answer. When this is dropped, the receiver's answer is not wanted.
    pub(crate) async fn send(&self, target: &Target, signal: Signal, body: Bytes) -> Outcome {
        let _under_way = UnderWay::new(&self.in_flight);
        let head = target.heads[signal as usize].clone();
        let mut slot = self.slot.lock().await;
        // HTTP/1 has the connection for itself until it is answered; HTTP/2 only takes a handle of it.
        let mut sender = match ready(&mut slot, target).await {
            Ok(sender) => sender,
            Err(error) => return Outcome::Failed(Failure::connect(&error)),
        };
        match &mut sender {
            Sender::Grpc(grpc) => {
                let number = slot.number;
                slot.sender = Some(Sender::Grpc(grpc.clone()));
                drop(slot);
                let outcome = grpc::export(grpc, head, body).await;
                if is_broken(&outcome) {
                    let mut slot = self.slot.lock().await;
                    if slot.number == number {
                        slot.sender = None;
                    }
                }
                outcome
            }
            Sender::Http(http) => {
                let outcome = http1::export(http, head, body, target.json).await;
                if !is_broken(&outcome) {
                    slot.sender = Some(sender);
                }
                outcome
            }
        }
    }
}

fn is_broken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.status == "connection broken")
}

/// Takes the sender out of its slot, or makes a new one when there is none that still lives.
async fn ready(slot: &mut Slot, target: &Target) -> io::Result<Sender> {
    match slot.sender.take() {
        Some(Sender::Grpc(sender)) => {
            if let Ok(sender) = sender.ready().await {
                return Ok(Sender::Grpc(sender));
            }
        }
        Some(Sender::Http(mut sender)) => {
            if sender.ready().await.is_ok() {
                return Ok(Sender::Http(sender));
            }
        }
        None => {}
    }
    slot.number += 1;
    connect(target).await
}

async fn connect(target: &Target) -> io::Result<Sender> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    match target.protocol {
        Protocol::Grpc => {
            let sender = grpc::handshake(stream).await?;
            sender
                .ready()
                .await
                .map(Sender::Grpc)
                .map_err(io::Error::other)
        }
        Protocol::Http => {
            let mut sender = http1::handshake(stream).await?;
            sender.ready().await.map_err(io::Error::other)?;
            Ok(Sender::Http(sender))
        }
    }
}

/// Counts a request while it lives.
struct UnderWay<'a>(&'a Cell<usize>);

impl<'a> UnderWay<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        UnderWay(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
