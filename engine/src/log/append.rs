//! The end of a log that grows: chunks go in, and when they outlast a loss of power it says so. After any
//! error the segment is given up, since nothing is known of its end, and the next one is begun. It
//! never reads, and never says of a chunk that it is safe before it was synced.

use std::io;
use std::rc::Rc;

use super::format::{Position, SegmentHeader};
use super::recent::Logged;
use super::{Log, LogError, Work};
use crate::chunk::Chunk;
use crate::fault;
use crate::limits::{SEGMENT_BYTES, SEGMENTS_MIN};
use crate::reactor::{File, Reactor};

/// See the module.
pub(crate) struct Appender<R: Reactor> {
    log: Rc<Log>,
    statements: Rc<[String]>,
    /// Bytes from which on the next segment is begun.
    segment_bytes: u64,
    open: Option<Open<R>>,
    next_segment: u64,
    next_chunk: u64,
}

/// The segment that is written to.
struct Open<R: Reactor> {
    file: R::File,
    /// Where the next chunk goes: all before is synced.
    end: u64,
    /// Where the next chunk's place begins: at its own beginning, or before the header that it is the first behind.
    next_begin: u64,
}

impl<R: Reactor> Appender<R> {
    /// An appender of a new log of at most `bytes_max`; files are made when the first chunk comes.
    pub(crate) fn new(log: Rc<Log>, statements: Rc<[String]>, bytes_max: u64) -> Self {
        Appender {
            log,
            statements,
            segment_bytes: SEGMENT_BYTES.min(bytes_max / SEGMENTS_MIN),
            open: None,
            next_segment: 0,
            next_chunk: 0,
        }
    }

    /// Writes chunks and syncs them; what was logged last stays in memory, too. How many bytes the log has grown by.
    ///
    /// On an error the chunks are not safe; they may still be found by the next start.
    pub(crate) async fn append(&mut self, chunks: Vec<Chunk>) -> Result<u64, LogError> {
        let mut grown = 0;
        if self.open.is_none() {
            grown += self.begin_segment().await?;
        }
        let Some(open) = &mut self.open else {
            return Ok(grown);
        };
        let number = self.next_segment - 1;
        let mut end = open.end;
        let mut logged = Vec::with_capacity(chunks.len());
        let first_chunk = self.next_chunk;
        let written = async {
            for mut chunk in chunks {
                let sequence = self.next_chunk;
                let record = chunk.take_record(sequence);
                self.next_chunk += 1;
                fault::failure("append")?;
                let record = open.file.write_at(end, record).await?;
                let begin = open.next_begin;
                end += record.len() as u64;
                open.next_begin = end;
                chunk.put_back(record);
                logged.push(Logged {
                    chunk,
                    sequence,
                    begin: Position {
                        segment: number,
                        offset: begin,
                    },
                    end: Position {
                        segment: number,
                        offset: end,
                    },
                    statements: Rc::clone(&self.statements),
                });
            }
            fault::failure("sync")?;
            open.file.sync().await?;
            fault::point("synced");
            Ok(())
        };
        if let Err(source) = written.await {
            // What lies behind the last synced chunk is cut off, if that still works; the reader does
            // not go there in any case.
            let _ = open.file.truncate(open.end).await;
            self.open = None;
            self.next_chunk = first_chunk;
            return Err(self.failed(number, source));
        }
        grown += end - open.end;
        open.end = end;
        self.log.set_end(number, end);
        for logged in logged {
            self.log.keep(logged);
        }
        if end >= self.segment_bytes {
            self.open = None;
        }
        Ok(grown)
    }

    /// Begins the next segment. How many bytes the log has grown by.
    pub(crate) async fn begin_segment(&mut self) -> Result<u64, LogError> {
        let number = self.next_segment;
        let begun = self.try_begin(number).await;
        let (file, end) = begun.map_err(|source| self.failed(number, source))?;
        self.log.add_segment(number, end);
        self.open = Some(Open {
            file,
            end,
            next_begin: 0,
        });
        Ok(end)
    }

    async fn try_begin(&mut self, number: u64) -> io::Result<(R::File, u64)> {
        if number == 0 {
            self.log.create::<R>().await?;
        }
        // A number is never used twice, even if this fails half-way.
        self.next_segment += 1;
        let header = SegmentHeader {
            id: self.log.id.clone(),
            number,
            first_chunk: self.next_chunk,
            statements: self.statements.to_vec(),
        };
        let header = header.write();
        let end = header.len() as u64;
        let path = self.log.segment_path(number);
        fault::failure("begin-segment")?;
        let file = R::File::create(&path).await?;
        let written = async {
            file.write_at(0, header).await?;
            file.sync().await?;
            R::sync_folder(&self.log.folder).await
        };
        if let Err(error) = written.await {
            // What may be left of it has no chunks, which the next start sees.
            let _ = R::remove(&path).await;
            return Err(error);
        }
        Ok((file, end))
    }

    fn failed(&self, number: u64, source: io::Error) -> LogError {
        LogError::new(Work::Write, &self.log.segment_path(number), source)
    }
}
