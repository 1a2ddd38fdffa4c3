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
use answer::{BROKEN, Failure, Outcome};

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
        let sent = match target.protocol {
            Protocol::Grpc => self.send_grpc(target, head, body).await,
            Protocol::Http => self.send_http(target, head, body).await,
        };
        sent.unwrap_or_else(|error| Outcome::Failed(Failure::connect(&error)))
    }

    /// Takes a handle of the connection, on which others send meanwhile. The error is that of connecting.
    async fn send_grpc(
        &self,
        target: &Target,
        head: Request<()>,
        body: Bytes,
    ) -> io::Result<Outcome> {
        let mut slot = self.slot.lock().await;
        if let Some(Sender::Grpc(sender)) = &slot.sender
            && sender.clone().ready().await.is_err()
        {
            slot.sender = None;
        }
        let sender = match slot.sender.take() {
            Some(sender) => sender,
            None => slot.connect(target).await?,
        };
        let number = slot.number;
        let Sender::Grpc(grpc) = &sender else {
            return Err(io::Error::other("a connection of another protocol"));
        };
        let mut grpc = grpc.clone();
        slot.sender = Some(sender);
        drop(slot);
        let outcome = grpc::export(&mut grpc, head, body).await;
        if is_broken(&outcome) {
            let mut slot = self.slot.lock().await;
            if slot.number == number {
                slot.sender = None;
            }
        }
        Ok(outcome)
    }

    /// Has the connection for itself until the answer is there; when this is dropped before, it is given up.
    async fn send_http(
        &self,
        target: &Target,
        head: Request<()>,
        body: Bytes,
    ) -> io::Result<Outcome> {
        let mut slot = self.slot.lock().await;
        if let Some(Sender::Http(sender)) = &mut slot.sender
            && sender.ready().await.is_err()
        {
            slot.sender = None;
        }
        let mut sender = match slot.sender.take() {
            Some(sender) => sender,
            None => slot.connect(target).await?,
        };
        let Sender::Http(http) = &mut sender else {
            return Err(io::Error::other("a connection of another protocol"));
        };
        let outcome = http1::export(http, head, body, target.json).await;
        if !is_broken(&outcome) {
            slot.sender = Some(sender);
        }
        Ok(outcome)
    }
}

impl Slot {
    async fn connect(&mut self, target: &Target) -> io::Result<Sender> {
        self.number += 1;
        connect(target).await
    }
}

fn is_broken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.status == BROKEN)
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
