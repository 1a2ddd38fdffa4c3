//! HTTP/2 written by hand: frames as bytes on a socket, and what comes back, frame by frame.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::grpc::EXPORT;
use crate::support::{PATIENCE, connect};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Flags.
pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// Error codes of GOAWAY and RST_STREAM.
pub(super) const NO_ERROR: u32 = 0;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// What an HTTP/2 connection begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that came.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// A connection that sends what it likes and whose answers are read all the time.
pub(super) struct Raw {
    socket: TcpStream,
    frames: Receiver<Frame>,
}

/// A frame's bytes.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field that HPACK neither indexes nor compresses.
pub(super) fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let mut field = vec![0];
    integer(&mut field, name.len());
    field.extend(name.as_bytes());
    integer(&mut field, value.len());
    field.extend(value);
    field
}

/// A length of a string, whose prefix has 7 bits.
fn integer(bytes: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return bytes.push(value as u8);
    }
    bytes.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// The headers of an Export call of traces.
pub(super) fn export_block() -> Vec<u8> {
    call_block(EXPORT)
}

/// The headers of a gRPC call of any method.
pub(super) fn call_block(path: &str) -> Vec<u8> {
    let fields = [
        literal(":method", b"POST"),
        literal(":scheme", b"http"),
        literal(":path", path.as_bytes()),
        literal(":authority", b"engine"),
        literal("content-type", b"application/grpc"),
        literal("te", b"trailers"),
    ];
    fields.concat()
}

/// The HEADERS of an Export call whose body follows.
pub(super) fn export(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &export_block())
}

pub(super) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// Numbers for streams of a client.
pub(super) fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

impl Raw {
    /// Begins HTTP/2 with usual settings, and acknowledges the other side's.
    pub(super) fn connect(address: SocketAddr) -> Raw {
        Raw::with_settings(address, &[])
    }

    /// The same with a SETTINGS frame of this payload.
    pub(super) fn with_settings(address: SocketAddr, settings: &[u8]) -> Raw {
        let socket = connect(address);
        let (sender, frames) = channel();
        let reader = socket.try_clone().expect("a second handle");
        thread::spawn(move || {
            for frame in Frames(reader) {
                if sender.send(frame).is_err() {
                    return;
                }
            }
        });
        let mut raw = Raw { socket, frames };
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat();
        assert!(raw.send(&begin));
        let theirs = raw.next().expect("SETTINGS");
        assert_eq!((theirs.kind, theirs.flags), (SETTINGS, 0), "{theirs:?}");
        assert!(raw.send(&frame(SETTINGS, ACK, 0, &[])));
        raw
    }

    /// Sends bytes; false when the other side has closed.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        match self.socket.write_all(bytes) {
            Ok(()) => true,
            Err(error) if closed(error.kind()) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next frame; none when the connection has ended.
    pub(super) fn next(&self) -> Option<Frame> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.frames.recv_timeout(PATIENCE) {
            Ok(frame) => Some(frame),
            Err(Disconnected) => None,
            Err(Timeout) => panic!("nothing comes, and the connection does not end"),
        }
    }

    /// Every frame that comes in this time, which passes in any case.
    pub(super) fn during(&self, time: Duration) -> Vec<Frame> {
        let until = Instant::now() + time;
        let next = || {
            self.frames
                .recv_timeout(until.saturating_duration_since(Instant::now()))
        };
        std::iter::from_fn(|| next().ok()).collect()
    }

    /// The next frame of this kind, past others.
    pub(super) fn next_of(&self, kind: u8) -> Frame {
        loop {
            let frame = self.next();
            let frame = frame.unwrap_or_else(|| panic!("the end instead of a frame {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Sends a PING and waits for its answer: by then all that was sent before was handled.
    pub(super) fn round_trip(&mut self) {
        assert!(self.send(&frame(PING, 0, 0, b"anyone??")));
        while self.next_of(PING).flags & ACK == 0 {}
    }

    /// Every frame up to the end of the connection.
    pub(super) fn rest(self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The connection ends, and the last GOAWAY has this code. Returns its text.
    pub(super) fn assert_goes_away(self, code: u32) -> String {
        let frames = self.rest();
        let goaway = frames.iter().rfind(|frame| frame.kind == GOAWAY);
        let goaway = goaway.unwrap_or_else(|| panic!("no GOAWAY: {frames:?}"));
        assert_eq!(goaway.code(), code, "{goaway:?}");
        String::from_utf8_lossy(&goaway.payload[8..]).into_owned()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // So that the reading thread ends. It may be over already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Frame {
    /// The error code of a RST_STREAM or a GOAWAY.
    pub(super) fn code(&self) -> u32 {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            kind => panic!("frame {kind} has no code"),
        };
        let code = self.payload[at..].first_chunk().expect("a code");
        u32::from_be_bytes(*code)
    }
}

/// Frames as they come, up to the end of the connection.
pub(super) struct Frames(pub(super) TcpStream);

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes(stream);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }
}

/// The other side is gone, in order or not.
pub(super) fn closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}
