//! The server's side of ClickHouse's native protocol at revision 54460: reads what a client sends, writes
//! what a server answers. It shares nothing with the engine's side but the way a varint is written.

use std::io;

use tokio::io::{AsyncReadExt, BufReader};

use crate::columns::push_varint;
use crate::decode::tests::block;
use crate::reactor::sim::SimStream;

pub(super) const REVISION: u64 = 54_460;

/// A packet of a client.
pub(super) enum Packet {
    Hello {
        user: String,
    },
    Query(Query),
    /// A block, decompressed.
    Data(Vec<u8>),
    Ping,
}

pub(super) struct Query {
    pub(super) text: String,
    pub(super) settings: Vec<(String, String)>,
}

impl Query {
    pub(super) fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(setting, _)| setting == name);
        found.map_or("", |(_, value)| value)
    }
}

/// What a client sends, packet by packet.
pub(super) struct Packets {
    pub(super) stream: BufReader<SimStream>,
    /// Bytes that were read to see whether a block goes on.
    ahead: Vec<u8>,
    /// Whether the present query's blocks are compressed.
    compressed: bool,
}

impl Packets {
    pub(super) fn new(stream: SimStream) -> Self {
        Packets {
            stream: BufReader::new(stream),
            ahead: Vec::new(),
            compressed: true,
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let ahead = self.ahead.len().min(length);
        bytes[..ahead].copy_from_slice(&self.ahead[..ahead]);
        self.ahead.drain(..ahead);
        self.stream.read_exact(&mut bytes[ahead..]).await?;
        Ok(bytes)
    }

    async fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.exactly(1).await?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    async fn text(&mut self) -> io::Result<String> {
        let length = self.varint().await? as usize;
        let bytes = self.exactly(length).await?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// The next packet.
    pub(super) async fn next(&mut self) -> io::Result<Packet> {
        match self.varint().await? {
            0 => self.hello().await,
            1 => self.query().await.map(Packet::Query),
            2 => {
                self.text().await?; // of an external table
                self.block().await.map(Packet::Data)
            }
            4 => Ok(Packet::Ping),
            packet => panic!("the engine sent packet {packet}"),
        }
    }

    async fn hello(&mut self) -> io::Result<Packet> {
        self.text().await?; // client
        for _ in 0..3 {
            self.varint().await?; // its version, its revision
        }
        self.text().await?; // database
        let user = self.text().await?;
        self.text().await?; // password
        Ok(Packet::Hello { user })
    }

    /// What follows the server's hello.
    pub(super) async fn addendum(&mut self) -> io::Result<()> {
        self.text().await.map(drop) // quota key
    }

    async fn query(&mut self) -> io::Result<Query> {
        self.text().await?; // query id
        self.client_info().await?;
        let mut settings = Vec::new();
        loop {
            let name = self.text().await?;
            if name.is_empty() {
                break;
            }
            self.varint().await?; // flags
            settings.push((name, self.text().await?));
        }
        self.text().await?; // interserver secret
        self.varint().await?; // stage
        self.compressed = self.varint().await? == 1;
        let text = self.text().await?;
        loop {
            let name = self.text().await?;
            if name.is_empty() {
                break;
            }
            self.varint().await?; // flags
            settings.push((format!("param_{name}"), self.text().await?));
        }
        Ok(Query { text, settings })
    }

    async fn client_info(&mut self) -> io::Result<()> {
        self.exactly(1).await?; // kind of query
        for _ in 0..3 {
            self.text().await?; // initial user, query id, address
        }
        self.exactly(8 + 1).await?; // start time, interface
        for _ in 0..3 {
            self.text().await?; // user and host of the system, client
        }
        for _ in 0..3 {
            self.varint().await?; // version and revision
        }
        self.text().await?; // quota key
        self.varint().await?; // distributed depth
        self.varint().await?; // patch version
        self.exactly(1 + 3).await?; // no OpenTelemetry context, no parallel replicas
        Ok(())
    }

    /// A block. How many frames it has is not said: it goes on unless what follows is the head of the next
    /// Data packet, which a checksum is mistaken for once in 65,536 blocks of several frames.
    async fn block(&mut self) -> io::Result<Vec<u8>> {
        if !self.compressed {
            // Only the empty block is ever sent so.
            return self.exactly(8 + 2).await;
        }
        let mut plain = Vec::new();
        loop {
            let mut frame = self.exactly(16 + 9).await?;
            let packed = u32::from_le_bytes(frame[17..21].try_into().unwrap()) as usize;
            frame.extend(self.exactly(packed - 9).await?);
            plain.extend(block::unpack(&frame).0);
            // The empty block ends the data: nothing follows that could be waited for.
            if plain[8..] == [0, 0] {
                return Ok(plain);
            }
            self.ahead = self.exactly(2).await?;
            if self.ahead == [2, 0] {
                return Ok(plain);
            }
        }
    }

    /// Reads off what else comes, until the client closes.
    pub(super) async fn discard(&mut self) {
        let mut room = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut room).await {}
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn hello() -> Vec<u8> {
    let mut out = vec![0];
    push_text(&mut out, "ClickHouse");
    for number in [26, 7, REVISION] {
        push_varint(&mut out, number);
    }
    push_text(&mut out, "UTC");
    push_text(&mut out, "simulated");
    push_varint(&mut out, 1);
    out
}

/// An exception with a cause inside it, as servers send them.
pub(super) fn exception(code: i32, name: &str, message: &str) -> Vec<u8> {
    let mut out = vec![2];
    for nested in [1, 0] {
        out.extend_from_slice(&code.to_le_bytes());
        push_text(&mut out, &format!("DB::{name}"));
        push_text(&mut out, message);
        push_text(&mut out, "0. somewhere");
        out.push(nested);
    }
    out
}

/// What comes before an INSERT's data is taken: the table's columns as a block without rows.
pub(super) fn header(empty_block: &[u8]) -> Vec<u8> {
    let mut out = vec![11];
    push_text(&mut out, "");
    push_text(&mut out, "columns format version: 1\n0 columns:\n");
    out.push(1);
    push_text(&mut out, "");
    out.extend_from_slice(empty_block);
    out
}

/// What comes while an INSERT runs: events in an uncompressed block, and progress.
pub(super) fn events() -> Vec<u8> {
    let mut out = vec![14];
    push_text(&mut out, "");
    out.extend_from_slice(&[1, 0, 2, 255, 255, 255, 255, 0, 2, 1]);
    push_text(&mut out, "name");
    push_text(&mut out, "String");
    out.push(0);
    push_text(&mut out, "InsertedRows");
    push_text(&mut out, "value");
    push_text(&mut out, "Int64");
    out.push(0);
    out.extend_from_slice(&7i64.to_le_bytes());
    out.extend_from_slice(&[3, 1, 2, 3, 4, 5, 6]);
    out
}

pub(super) const END_OF_STREAM: [u8; 1] = [5];
pub(super) const PONG: [u8; 1] = [4];

/// The answer to a SELECT of one text: first the columns, then the row, uncompressed.
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for rows in 0..2 {
        out.push(1);
        push_text(&mut out, "");
        out.extend_from_slice(&[1, 0, 2, 255, 255, 255, 255, 0, 1, rows]);
        push_text(&mut out, "text");
        push_text(&mut out, "String");
        out.push(0);
        if rows == 1 {
            push_text(&mut out, text);
        }
    }
    out.extend_from_slice(&[6, 1, 1, 9, 0, 0, 0]);
    out.extend(END_OF_STREAM);
    out
}
