//! One native-protocol connection: says hello, sends an INSERT's blocks and waits for its confirmation.
//! Between INSERTs it can ask whether the server is still there. It never retries; after
//! any error it is thrown away.

use std::io::IoSlice;

use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader};

use super::answer::{ServerHello, read_confirmation, read_hello, read_pong, read_text};
use super::error::InsertError;
use super::link::Insert;
use super::protocol;
use crate::columns::{Compressor, empty_block};
use crate::config::ClickHouse;
use crate::fault;
use crate::reactor::{Reactor, resolve};

/// Slices that one system call may take, below Linux's 1,024.
const SLICES_MAX: usize = 512;

pub(super) struct Connection<R: Reactor> {
    stream: BufReader<R::Stream>,
    /// The empty block, which begins and ends the data of every INSERT.
    empty_block: Vec<u8>,
    pub(super) server: ServerHello,
}

impl<R: Reactor> Connection<R> {
    /// Connects to the first address of `endpoint` that answers.
    pub(super) async fn open(endpoint: &str, clickhouse: &ClickHouse) -> Result<Self, InsertError> {
        let mut last = InsertError::NoAddress(endpoint.to_owned());
        for address in resolve(endpoint).await? {
            match R::connect(address).await {
                Ok(stream) => return Self::greet(stream, clickhouse).await,
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn greet(stream: R::Stream, clickhouse: &ClickHouse) -> Result<Self, InsertError> {
        let mut stream = BufReader::new(stream);
        let hello = protocol::hello(&clickhouse.user, &clickhouse.password);
        stream.write_all(&hello).await?;
        let server = read_hello(&mut stream).await?;
        stream.write_all(&protocol::ADDENDUM).await?;
        stream.flush().await?;
        Ok(Connection {
            stream,
            empty_block: empty_block(&mut Compressor::default()),
            server,
        })
    }

    /// Asks whether the server is still there; nothing may be in flight.
    pub(super) async fn ping(&mut self) -> Result<(), InsertError> {
        self.stream.write_all(&protocol::PING).await?;
        self.stream.flush().await?;
        read_pong(&mut self.stream).await
    }

    /// Sends an INSERT and returns when ClickHouse has stored it.
    pub(super) async fn insert(&mut self, insert: &Insert<'_>) -> Result<(), InsertError> {
        let head = protocol::insert(insert.statement, insert.token);
        let mut pieces: Vec<&[u8]> = vec![&head, &protocol::DATA, &self.empty_block];
        for block in &insert.blocks {
            pieces.extend([&protocol::DATA[..], block]);
        }
        pieces.extend([&protocol::DATA[..], &self.empty_block]);
        if cfg!(feature = "faults") {
            let half = pieces.len() / 2;
            write_pieces(self.stream.get_mut(), &pieces[..half]).await?;
            fault::point("half-sent");
            pieces.drain(..half);
        }
        write_pieces(self.stream.get_mut(), &pieces).await?;
        fault::point("sent");
        read_confirmation(&mut self.stream).await
    }

    /// Sends a SELECT of one text in one row, and returns it.
    pub(super) async fn ask(&mut self, statement: &str) -> Result<String, InsertError> {
        self.stream.write_all(&protocol::select(statement)).await?;
        self.stream.flush().await?;
        read_text(&mut self.stream).await
    }
}

/// Writes all pieces, as many as possible with each system call.
async fn write_pieces(to: &mut (impl AsyncWrite + Unpin), pieces: &[&[u8]]) -> std::io::Result<()> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let count = rest.len().min(SLICES_MAX);
        let written = to.write_vectored(&rest[..count]).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    to.flush().await
}
