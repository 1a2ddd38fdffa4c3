//! A server of ClickHouse's native protocol that confirms every INSERT and keeps nothing of it: what an engine
//! costs without a ClickHouse beside it. It greets and is asked as a real one; it looks at no row.
//!
//! Packets are those of `engine/src/insert/protocol.rs`, revision 54460.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use crate::received::{Counter, Received};

const REVISION: u64 = 54_460;
const QUERY: u64 = 1;
const DATA: u64 = 2;
const PING: u64 = 4;
const PONG: u8 = 4;
const END_OF_STREAM: u8 = 5;
/// Bytes of a block without columns and rows.
const EMPTY_BLOCK_BYTES: u32 = 10;
const METHOD_LZ4: u8 = 0x82;
/// Bytes that are read at once, at most.
const ROOM: usize = 1 << 20;
/// Checksum, method and both sizes.
const FRAME_HEAD: usize = 25;
/// Of those, what the frame's own size counts.
const FRAME_COUNTED: usize = 9;

/// See the module. It ends with the process.
#[derive(Debug)]
pub struct NullSink {
    /// Where it listens.
    pub address: SocketAddr,
    counter: Arc<Counter>,
}

impl NullSink {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub fn start() -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), Arc::default())
    }

    /// The same at an address of the caller's, counting with others.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start_at(address: SocketAddr, counter: Arc<Counter>) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let sink = NullSink {
            address,
            counter: Arc::clone(&counter),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counter);
                thread::spawn(move || {
                    // An engine that ends in the midst of a packet is no fault of the sink's.
                    let _ = Peer::new(stream).and_then(|mut peer| peer.serve(&counted));
                });
            }
        });
        Ok(sink)
    }

    /// What came so far.
    #[must_use]
    pub fn received(&self) -> Received {
        self.counter.received()
    }
}

/// What comes from an engine, and where answers go.
struct Peer {
    stream: TcpStream,
    room: Box<[u8]>,
    /// Bytes in `room` that came and were not read.
    unread: Range<usize>,
}

impl Peer {
    fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Peer {
            stream,
            room: vec![0; ROOM].into(),
            unread: 0..0,
        })
    }

    /// Waits until at least so many bytes are unread, and shows what is; fewer only when the engine has gone.
    fn look(&mut self, bytes: usize) -> Result<&[u8]> {
        while self.unread.len() < bytes {
            if self.unread.start > 0 {
                self.room.copy_within(self.unread.clone(), 0);
                self.unread = 0..self.unread.len();
            }
            let came = self.stream.read(&mut self.room[self.unread.end..])?;
            if came == 0 {
                break;
            }
            self.unread.end += came;
        }
        Ok(&self.room[self.unread.clone()])
    }

    fn skip(&mut self, mut bytes: usize) -> Result<()> {
        while bytes > 0 {
            let held = self.look(1)?.len().min(bytes);
            if held == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.unread.start += held;
            bytes -= held;
        }
        Ok(())
    }

    fn serve(&mut self, counter: &Counter) -> Result<()> {
        self.hello()?;
        while !self.look(1)?.is_empty() {
            match self.varint()? {
                PING => self.stream.write_all(&[PONG])?,
                QUERY if self.query_is_compressed()? => {
                    self.skip_blocks(counter)?;
                    counter.add_insert();
                    self.stream.write_all(&[END_OF_STREAM])?;
                }
                QUERY => self.answer()?,
                packet => panic!("the engine sent packet {packet} out of turn"),
            }
        }
        Ok(())
    }

    fn hello(&mut self) -> Result<()> {
        self.varint()?;
        self.skip_string()?;
        self.skip_varints(3)?;
        for _ in ["database", "user", "password"] {
            self.skip_string()?;
        }
        let mut hello = Vec::new();
        push_varint(&mut hello, 0);
        push_string(&mut hello, "a sink");
        for number in [26, 7, REVISION] {
            push_varint(&mut hello, number);
        }
        push_string(&mut hello, "UTC");
        push_string(&mut hello, "a sink");
        push_varint(&mut hello, 0); // patch
        self.stream.write_all(&hello)?;
        self.skip_string() // the addendum: a quota key
    }

    /// Reads a query up to its blocks. Only INSERTs ask for compression.
    fn query_is_compressed(&mut self) -> Result<bool> {
        self.skip_string()?; // id
        self.skip(1)?;
        for _ in ["user", "query id", "address"] {
            self.skip_string()?;
        }
        self.skip(8 + 1)?; // start time, interface
        for _ in ["system user", "host", "client"] {
            self.skip_string()?;
        }
        self.skip_varints(3)?;
        self.skip_string()?; // quota key
        self.skip_varints(2)?; // depth, patch
        self.skip(1)?; // no OpenTelemetry context
        self.skip_varints(3)?; // no parallel replicas
        while self.string()? > 0 {
            self.skip_varints(1)?;
            self.skip_string()?;
        }
        self.skip_string()?; // secret
        self.skip_varints(1)?; // stage
        let compressed = self.varint()? == 1;
        self.skip_string()?; // statement
        self.skip_string()?; // end of parameters
        Ok(compressed)
    }

    /// Reads blocks to the second empty one: the first says that there are no external tables.
    fn skip_blocks(&mut self, counter: &Counter) -> Result<()> {
        let mut empty = 0;
        while empty < 2 {
            let ahead = self.look(2 + FRAME_HEAD)?;
            // A further frame of the last block looks like this once in 2^24, and then the sink gives up.
            if ahead.starts_with(&[DATA as u8, 0]) && ahead[2 + 16] == METHOD_LZ4 {
                self.skip(2)?;
            }
            let head = self.look(FRAME_HEAD)?;
            let size = |at: usize| {
                u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
            };
            let (packed, plain) = (size(17) as usize, size(21));
            let frame = FRAME_HEAD - FRAME_COUNTED + packed;
            self.skip(frame)?;
            counter.add_bytes(frame);
            empty += u32::from(plain == EMPTY_BLOCK_BYTES);
        }
        Ok(())
    }

    /// Answers the engine's only question, how many inserts its tables have seen: none, and it remembers many.
    fn answer(&mut self) -> Result<()> {
        self.skip(2 + EMPTY_BLOCK_BYTES as usize)?;
        let mut block = vec![1, 0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 1, 1];
        push_string(&mut block, "seen");
        push_string(&mut block, "String");
        block.push(0); // no custom serialization
        push_string(&mut block, "(0,0,0,0,0,200000)");
        block.push(END_OF_STREAM);
        self.stream.write_all(&block)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = *self.look(1)?.first().ok_or(ErrorKind::UnexpectedEof)?;
            self.unread.start += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(number)
    }

    fn skip_varints(&mut self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.varint().map(drop))
    }

    /// Skips a string and gives back its length.
    fn string(&mut self) -> Result<usize> {
        let length = self.varint()? as usize;
        self.skip(length)?;
        Ok(length)
    }

    fn skip_string(&mut self) -> Result<()> {
        self.string().map(drop)
    }
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}
