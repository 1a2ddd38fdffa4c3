//! Gives a log's chunks in order, from any place on: what memory still has from there, all else read back from the
//! files; and says where bytes are not what was written. It
//! believes nothing that its checksum does not cover, and after damage goes on with the next whole chunk.

use std::ops::Range;
use std::rc::Rc;

use super::format::{Position, SEGMENT_FIXED_BYTES, SegmentHeader};
use super::{Log, LogError, Segment, Work};
use crate::chunk::{BrokenChunk, Chunk, HEAD_BYTES, Head, MAGIC};
use crate::reactor::{File, Reactor};

/// Bytes that are looked through at a time for the next chunk.
const SEARCH_BYTES: usize = 1 << 20;

/// See the module.
pub(super) struct Reader<R: Reactor> {
    log: Rc<Log>,
    at: Position,
    open: Option<Open<R>>,
    /// The number that the next chunk should have, once one was read.
    next_chunk: Option<u64>,
}

struct Open<R: Reactor> {
    number: u64,
    file: R::File,
    statements: Rc<[String]>,
    /// Where the next segment's chunks begin: those here from that number on were refused.
    refused_from: Option<u64>,
}

/// What was found.
pub(super) enum Found {
    Chunk {
        chunk: Chunk,
        statements: Rc<[String]>,
        /// Chunks that should stand before this one and do not.
        missing: u64,
    },
    /// These bytes are no chunk.
    Damage(Damage),
    /// Nothing more at present.
    End,
}

/// Bytes that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) segment: u64,
    pub(super) bytes: Range<u64>,
    pub(super) reason: String,
    /// A write that was never finished, of which nothing was acknowledged: what is left at the log's very end,
    /// or a segment without chunks.
    pub(super) torn: bool,
}

impl<R: Reactor> Reader<R> {
    /// Reads from `at` on.
    pub(super) fn new(log: Rc<Log>, at: Position) -> Self {
        Reader {
            log,
            at,
            open: None,
            next_chunk: None,
        }
    }

    /// Where the next chunk is looked for.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// Goes on behind the present segment, which cannot be read. Its number.
    pub(super) fn skip_segment(&mut self) -> Option<u64> {
        let (segment, _) = self.log.segment_from(self.at.segment)?;
        self.at = Position {
            segment: segment.number + 1,
            offset: 0,
        };
        Some(segment.number)
    }

    /// The next chunk or damage.
    pub(super) async fn next(&mut self) -> Result<Found, LogError> {
        loop {
            let Some((segment, last)) = self.log.segment_from(self.at.segment) else {
                return Ok(Found::End);
            };
            if segment.number > self.at.segment {
                self.at = start_of(segment);
            }
            if let Some(logged) = self.log.take_recent(self.at) {
                self.at = logged.end;
                return Ok(self.found(logged.chunk, logged.sequence, logged.statements));
            }
            if self.at.offset < segment.end {
                let found = self.read(segment, last).await;
                let path = || self.log.segment_path(segment.number);
                let found = found.map_err(|source| LogError::new(Work::Read, &path(), source))?;
                match found {
                    Some(found) => return Ok(found),
                    None => continue,
                }
            }
            if last {
                return Ok(Found::End);
            }
            self.at.segment += 1;
            self.at.offset = 0;
        }
    }

    /// What is at the present place; `None` when only its header was there to be read.
    async fn read(&mut self, segment: Segment, last: bool) -> std::io::Result<Option<Found>> {
        let file = match self.open.take() {
            Some(open) if open.number == segment.number => self.open.insert(open),
            _ => match self.open_segment(segment).await? {
                Ok(open) => self.open.insert(open),
                Err(file) => {
                    let first = next_chunk(&file, 0, segment.end).await?;
                    if let (Some(first), Some(header)) = (first, self.any_header().await?) {
                        // All segments of a log have the same statements.
                        self.open = Some(Open {
                            number: segment.number,
                            file,
                            statements: header.statements.into(),
                            refused_from: self.first_chunk_behind(segment.number).await?,
                        });
                        if self.at.offset >= first {
                            return Ok(None);
                        }
                        return Ok(Some(self.damaged(
                            segment,
                            first,
                            "its header is broken",
                            false,
                        )));
                    }
                    // A segment that was never finished has no chunks.
                    let torn = first.is_none();
                    return Ok(Some(self.damaged(
                        segment,
                        segment.end,
                        "its header is broken",
                        torn,
                    )));
                }
            },
        };
        let refused_from = file.refused_from;
        let (file, statements) = (&file.file, Rc::clone(&file.statements));
        let Some(left @ 1..) = segment.end.checked_sub(self.at.offset) else {
            return Ok(None);
        };
        let head = file.read_at(self.at.offset, HEAD_BYTES).await?;
        let head = match Head::read(&head) {
            Ok(head) => head,
            Err(error) => {
                let next = next_chunk(file, self.at.offset + 1, segment.end).await?;
                let next = next.unwrap_or(segment.end);
                return Ok(Some(self.damaged(segment, next, &error.to_string(), last)));
            }
        };
        if head.length() as u64 > left {
            let error = BrokenChunk::Short.to_string();
            return Ok(Some(self.damaged(segment, segment.end, &error, last)));
        }
        let record = file.read_at(self.at.offset, head.length()).await?;
        let end = self.at.offset + head.length() as u64;
        match Chunk::from_record(record) {
            Ok((chunk, head)) => {
                self.at.offset = end;
                if refused_from.is_some_and(|first| head.sequence >= first) {
                    return Ok(None);
                }
                Ok(Some(self.found(chunk, head.sequence, statements)))
            }
            Err(error) => Ok(Some(self.damaged(segment, end, &error.to_string(), false))),
        }
    }

    /// A chunk, behind which the next one is looked for.
    fn found(&mut self, chunk: Chunk, sequence: u64, statements: Rc<[String]>) -> Found {
        let expected = self.next_chunk.replace(sequence + 1);
        let missing = sequence.saturating_sub(expected.unwrap_or(sequence));
        Found::Chunk {
            chunk,
            statements,
            missing,
        }
    }

    /// Goes on at `end`, and says what lies before it.
    fn damaged(&mut self, segment: Segment, end: u64, reason: &str, torn: bool) -> Found {
        let bytes = self.at.offset..end;
        self.at.offset = end;
        Found::Damage(Damage {
            segment: segment.number,
            torn: torn && end == segment.end,
            bytes,
            reason: reason.to_owned(),
        })
    }

    /// Opens a segment and moves on to its first chunk when it is read from its start; the file alone when
    /// its header is not what was written.
    async fn open_segment(
        &mut self,
        segment: Segment,
    ) -> std::io::Result<Result<Open<R>, R::File>> {
        let file = R::File::open(&self.log.segment_path(segment.number)).await?;
        let Some(header) = self.header(&file, segment.number).await? else {
            return Ok(Err(file));
        };
        self.at.offset = self.at.offset.max(header.write().len() as u64);
        Ok(Ok(Open {
            number: segment.number,
            file,
            statements: header.statements.into(),
            refused_from: self.first_chunk_behind(segment.number).await?,
        }))
    }

    /// The number of the first chunk of the next segment that says it.
    async fn first_chunk_behind(&self, number: u64) -> std::io::Result<Option<u64>> {
        let mut from = number + 1;
        while let Some((next, _)) = self.log.segment_from(from) {
            let file = R::File::open(&self.log.segment_path(next.number)).await?;
            if let Some(header) = self.header(&file, next.number).await? {
                return Ok(Some(header.first_chunk));
            }
            from = next.number + 1;
        }
        Ok(None)
    }

    /// The header of the first segment that has a good one.
    async fn any_header(&self) -> std::io::Result<Option<SegmentHeader>> {
        let mut from = 0;
        while let Some((segment, _)) = self.log.segment_from(from) {
            let file = R::File::open(&self.log.segment_path(segment.number)).await?;
            let header = self.header(&file, segment.number).await?;
            if header.is_some() {
                return Ok(header);
            }
            from = segment.number + 1;
        }
        Ok(None)
    }

    /// A segment's header, if it is what was written.
    async fn header(&self, file: &R::File, number: u64) -> std::io::Result<Option<SegmentHeader>> {
        let fixed = file.read_at(0, SEGMENT_FIXED_BYTES).await?;
        let length = SegmentHeader::length(&fixed).unwrap_or(0);
        let header = SegmentHeader::read(&file.read_at(0, length).await?);
        Ok(header.filter(|header| (&header.id, header.number) == (&self.log.id, number)))
    }
}

fn start_of(segment: Segment) -> Position {
    Position {
        segment: segment.number,
        offset: 0,
    }
}

/// Where between `from` and `end` the next head of a chunk stands that its checksum vouches for.
async fn next_chunk<F: File>(file: &F, mut from: u64, end: u64) -> std::io::Result<Option<u64>> {
    while from + (HEAD_BYTES as u64) <= end {
        let length = SEARCH_BYTES.min((end - from) as usize);
        let bytes = file.read_at(from, length).await?;
        let places = 0..bytes.len().saturating_sub(HEAD_BYTES - 1);
        let step = places.len() as u64;
        for place in places {
            if bytes[place..].starts_with(&MAGIC) && Head::read(&bytes[place..]).is_ok() {
                return Ok(Some(from + place as u64));
            }
        }
        if step == 0 {
            break;
        }
        from += step;
    }
    Ok(None)
}
