//! Clients that want the engine's memory: large bodies, bodies that become large, and a crowd of connections
//! with bodies that never end. They take every answer, and none.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;

use crate::frames::{DATA, PREFACE, SETTINGS, export, frame};
use crate::process::EngineProcess;
use crate::support::grpc::prefixed;
use crate::support::http1::post;
use crate::support::packed::{gzip, zstd};
use crate::support::spans::{exactly, good, new_trace_id, nothing, request, span};
use crate::support::{admin_get, connect};

/// The largest request.
pub(crate) const LARGE: usize = 64 << 20;
/// More than a small request takes.
const SMALL: usize = 4 << 10;
/// Most of a stream's body that is sent without waiting for credit.
const WITHOUT_CREDIT: usize = 4 << 20;

/// What all of them share.
#[derive(Default)]
pub(crate) struct Attack {
    pub(crate) over: AtomicBool,
    /// Bodies that were sent, or refused meanwhile, by kind.
    pub(crate) rounds: [AtomicUsize; KINDS],
    /// Trace ids of those that were acknowledged.
    pub(crate) acknowledged: Mutex<Vec<[u8; 16]>>,
    /// Connections of the crowd that were opened.
    pub(crate) crowd: AtomicUsize,
}

/// Kinds of bodies; see `Attack::send`.
pub(crate) const KINDS: usize = 6;

/// What bodies of a kind are made of: a small request of its own, so that each can be looked for, and behind it
/// what all of them share. Protobuf and gzip both allow that.
struct Kind {
    encoding: Option<&'static str>,
    /// Whether a small request can stand before the rest.
    with_own: bool,
    rest: Vec<u8>,
}

impl Kind {
    fn new(kind: usize) -> Kind {
        let (encoding, rest) = match kind {
            // Compresses well, so that many of them fit into the log.
            0 => (None, exactly(new_trace_id(), LARGE - SMALL)),
            // Become a thousand times as much, and are nothing.
            1 => (Some("gzip"), gzip(&nothing(LARGE - SMALL))),
            2 => (Some("zstd"), zstd(&nothing(LARGE))),
            // The same with rows.
            3 => (Some("gzip"), gzip(&exactly(new_trace_id(), LARGE - SMALL))),
            // Two bytes an event, which take thirty times as many in columns.
            4 => (None, events(1_000_000)),
            // Does not compress at all.
            _ => (None, noise()),
        };
        Kind {
            encoding,
            with_own: encoding != Some("zstd"),
            rest,
        }
    }

    fn body(&self, id: [u8; 16]) -> Vec<u8> {
        let own = match self.encoding {
            _ if !self.with_own => Vec::new(),
            Some(_) => gzip(&good(id)),
            None => good(id),
        };
        [own, self.rest.clone()].concat()
    }
}

fn events(count: usize) -> Vec<u8> {
    request(vec![Span {
        events: vec![Event::default(); count],
        ..span(new_trace_id())
    }])
}

fn noise() -> Vec<u8> {
    let mut bytes = vec![0; LARGE - 2 * SMALL];
    fastrand::fill(&mut bytes);
    for byte in &mut bytes {
        *byte = b' ' + (*byte & 63);
    }
    request(vec![Span {
        trace_state: String::from_utf8(bytes).expect("ASCII"),
        ..span(new_trace_id())
    }])
}

impl Attack {
    /// Sends bodies of this kind one after the other until it is over, `most` at most.
    pub(crate) fn send(&self, http: SocketAddr, kind: usize, most: usize) {
        let made = Kind::new(kind);
        let headers = made.encoding.map(|name| ("content-encoding", name));
        let headers: Vec<_> = headers.into_iter().collect();
        for _ in 0..most {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let id = new_trace_id();
            let status = ask(http, &post(&headers, &made.body(id)));
            // Refused, acknowledged, or cut off while it was refused.
            assert!(
                matches!(status, Some(200 | 413 | 503) | None),
                "kind {kind}: {status:?}"
            );
            if status == Some(200) && made.with_own {
                self.acknowledged.lock().expect("no panic").push(id);
            }
            self.rounds[kind].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps a crowd of connections open, half of each transport, each of which sends a large body as far as
    /// it is taken and never ends it.
    pub(crate) fn crowd(&self, engine: &EngineProcess, count: usize) {
        let mut crowd: Vec<Option<Endless>> = Vec::new();
        crowd.resize_with(count, || None);
        while !self.over.load(Ordering::Relaxed) {
            for (number, place) in crowd.iter_mut().enumerate() {
                if place.as_mut().is_some_and(Endless::go_on) {
                    continue;
                }
                *place = Some(match number % 2 {
                    0 => Endless::grpc(engine.at.grpc),
                    _ => Endless::http(engine.at.http),
                });
                self.crowd.fetch_add(1, Ordering::Relaxed);
            }
            // A round trip, so that this does not spin while nothing is taken.
            assert_eq!(admin_get(engine.at.admin, "/healthz").0, 200);
        }
    }
}

/// Sends a request and reads its status; `None` when the connection ended without.
fn ask(http: SocketAddr, request: &[u8]) -> Option<u16> {
    let mut socket = connect(http);
    // It may be refused before it is sent.
    let _ = socket.write_all(request);
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).ok()?;
    std::str::from_utf8(&answer[9..]).ok()?.parse().ok()
}

/// A connection of the crowd.
struct Endless {
    socket: TcpStream,
    /// What is to be sent first.
    begin: Vec<u8>,
    /// And then again and again, up to so many times.
    again: Bytes,
    left: usize,
    sent: usize,
}

impl Endless {
    fn http(address: SocketAddr) -> Endless {
        let head = post(&[("content-length", "67108864")], b"");
        let again = Bytes::from_static(&[0; 64 << 10]);
        Endless::new(address, head, again, (LARGE >> 16) - 1)
    }

    fn grpc(address: SocketAddr) -> Endless {
        let part = [0; 16 << 10];
        let message = prefixed(0, LARGE as u32, b"");
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &export(1)].concat();
        let begin = [begin, frame(DATA, 0, 1, &message)].concat();
        let again = Bytes::from(frame(DATA, 0, 1, &part));
        Endless::new(address, begin, again, WITHOUT_CREDIT / part.len() - 1)
    }

    fn new(address: SocketAddr, begin: Vec<u8>, again: Bytes, left: usize) -> Endless {
        let socket = connect(address);
        socket.set_nonblocking(true).expect("a socket");
        Endless {
            socket,
            begin,
            again,
            left,
            sent: 0,
        }
    }

    /// Sends a part if it is taken; false when the connection is of no more use.
    fn go_on(&mut self) -> bool {
        let mut answer = [0; 1024];
        match self.socket.read(&mut answer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Of HTTP/2 there come frames all the time.
            Ok(1..) if self.again.len() < 64 << 10 => {}
            _ => return false,
        }
        let part = if self.begin.is_empty() {
            &self.again[..]
        } else {
            &self.begin[..]
        };
        match self.socket.write(&part[self.sent..]) {
            Ok(count) => self.sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
        if self.sent == part.len() {
            self.sent = 0;
            if self.begin.is_empty() {
                self.left = self.left.saturating_sub(1);
            }
            self.begin.clear();
        }
        self.left > 0
    }
}
