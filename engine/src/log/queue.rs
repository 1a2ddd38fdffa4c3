//! Makes batches of what the logs of a shard hold: first of those that earlier runs left, then of its own.
//! Before a batch is given out, its bounds and its number are on disk, so that after any crash the same
//! chunks are sent under the same token. What is inserted is removed.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use super::aside::Aside;
use super::cursor::{CURSOR, CursorFile};
use super::format::{LogId, Position, Slot};
use super::read::{Found, Reader};
use super::{Log, LogError, Work};
use crate::ack::Acks;
use crate::fault;
use crate::insert::{Batch, InsertsSeen};
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, READ_TRIES};
use crate::reactor::Reactor;
use crate::shard::Shard;

/// See the module.
pub(crate) struct Queue<R: Reactor> {
    shard: Rc<Shard>,
    parent: PathBuf,
    aside: Aside,
    /// What earlier runs left for this shard, once it was looked for.
    old: Option<VecDeque<LogId>>,
    /// The log of this run, in ack mode `log`.
    own: Option<Rc<Log>>,
    run: u128,
    source: Option<Source<R>>,
    /// Reads in a row that failed.
    failed_reads: u32,
}

/// The log that batches are made of at present.
struct Source<R: Reactor> {
    log: Rc<Log>,
    reader: Reader<R>,
    cursor: CursorFile<R>,
    /// The cursor names a batch whose outcome is unknown.
    unsettled: bool,
    /// Bytes before this are no longer counted as waiting.
    counted_from: Position,
}

impl<R: Reactor> Queue<R> {
    /// A queue over the logs in `parent` that fall to this shard, and its `own`.
    pub(crate) fn new(shard: Rc<Shard>, own: Option<Rc<Log>>, run: u128) -> Self {
        let parent = shard.config.log.folder.clone();
        Queue {
            aside: Aside::new(&parent, shard.metrics.clone()),
            shard,
            parent,
            old: None,
            own,
            run,
            source: None,
            failed_reads: 0,
        }
    }

    /// Whether there is a log of this run.
    pub(crate) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Finds what earlier runs left. Logs are dealt out to the present shards by their names alone, so each
    /// shard finds its own without asking another, whenever it looks: by then others may have removed
    /// some of theirs.
    pub(super) async fn find_old(&self) -> Result<VecDeque<LogId>, LogError> {
        let mut names = match R::list(&self.parent).await {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(LogError::new(Work::Read, &self.parent, source)),
        };
        names.sort();
        let logs = names.iter().filter_map(|name| LogId::of_name(name));
        let shards = self.shard.config.shards as u128;
        let dealt_to = |id: &LogId| (id.run % shards + u128::from(id.shard)) % shards;
        let ours = logs.filter(|id| id.run != self.run && dealt_to(id) == self.shard.index as u128);
        let ours: VecDeque<_> = ours.collect();
        for id in &ours {
            let log = Log::new(&self.parent, id.clone());
            // What cannot be looked at now is reported when its turn comes.
            if log.find_segments::<R>().await.is_ok() {
                self.shard.log_changed(log.bytes() as i64);
            }
        }
        Ok(ours)
    }

    /// The next batch, once one is due; `None` when the shard ends and leaves nothing that can be inserted
    /// now. `seen` says how many inserts each table has seen.
    pub(crate) async fn next_batch(&mut self, seen: InsertsSeen) -> Option<Batch> {
        let mut pause = BACKOFF_MIN;
        loop {
            match self.try_next(seen).await {
                Ok(Step::Batch(batch)) => {
                    self.failed_reads = 0;
                    return Some(*batch);
                }
                Ok(Step::Again) => pause = BACKOFF_MIN,
                Ok(Step::Ended) => return None,
                Err(error) => {
                    self.shard.metrics.log_failures.inc();
                    tracing::error!(shard = self.shard.index, %error, "the log cannot be worked on; trying again");
                    if self.shard.backlog.is_closed() {
                        return None;
                    }
                    self.failed_reads += u32::from(error.work == Work::Read);
                    R::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    async fn try_next(&mut self, seen: InsertsSeen) -> Result<Step, LogError> {
        let Some(source) = &mut self.source else {
            return self.open_source().await;
        };
        let shard = &self.shard;
        if self.failed_reads >= READ_TRIES {
            source.give_up_segment(shard, &self.aside).await?;
            self.failed_reads = 0;
        }
        let own = self
            .own
            .as_ref()
            .is_some_and(|own| Rc::ptr_eq(&source.log, own));
        if own && !shard.backlog.batch_is_due::<R>(shard.batch_due()).await {
            return Ok(Step::Ended);
        }
        if let Some(batch) = source.batch(shard, &self.aside, seen).await? {
            if own {
                shard.backlog.taken(batch.rows, R::now());
            }
            return Ok(Step::Batch(Box::new(batch)));
        }
        if own {
            // Nothing can be read of what was counted: it was damaged, and has been reported.
            shard.backlog.taken(shard.backlog.rows(), R::now());
            source.note_inserted(shard).await?;
        } else {
            source.remove(shard).await?;
            self.source = None;
        }
        Ok(Step::Again)
    }

    /// The shard ends: the log of this run is removed if all of it is inserted.
    pub(crate) async fn leave(self) {
        let (Some(mut source), Some(own)) = (self.source, self.own) else {
            return;
        };
        let inserted = self.shard.backlog.rows() == 0 && !source.unsettled;
        if Rc::ptr_eq(&source.log, &own)
            && inserted
            && let Err(error) = source.remove(&self.shard).await
        {
            self.shard.metrics.log_failures.inc();
            tracing::error!(shard = self.shard.index, %error, "an inserted log is left for the next start to remove");
        }
    }

    /// Turns to the next log.
    async fn open_source(&mut self) -> Result<Step, LogError> {
        let Some(old) = &mut self.old else {
            self.old = Some(self.find_old().await?);
            return Ok(Step::Again);
        };
        let ending = self.shard.backlog.is_closed();
        if let Some(id) = old.front().filter(|_| !ending) {
            let log = Rc::new(Log::new(&self.parent, id.clone()));
            if self.failed_reads >= READ_TRIES {
                self.failed_reads = 0;
                self.aside
                    .log::<R>(&log, "its folder cannot be read")
                    .await?;
                old.pop_front();
                return Ok(Step::Again);
            }
            log.find_segments::<R>().await?;
            self.source = Source::open(&log).await?;
            if self.source.is_some() {
                tracing::info!(
                    shard = self.shard.index, log = %log.folder.display(), bytes = log.bytes(),
                    "inserting what an earlier run left"
                );
            } else {
                self.aside.log::<R>(&log, "its cursor is broken").await?;
                self.shard.log_changed(-(log.bytes() as i64));
            }
            old.pop_front();
            return Ok(Step::Again);
        }
        let due = self.shard.batch_due();
        match &self.own {
            Some(own) if self.shard.backlog.batch_is_due::<R>(due).await => {
                self.source = Source::open(own).await?;
                Ok(Step::Again)
            }
            _ => Ok(Step::Ended),
        }
    }

    /// The last batch that was given out is inserted.
    pub(crate) async fn inserted(&mut self) {
        let Some(source) = &mut self.source else {
            return;
        };
        source.unsettled = false;
        // While more waits, the next batch's record says this, too.
        let idle = self.shard.backlog.rows() == 0;
        if idle && let Err(error) = source.note_inserted(&self.shard).await {
            // Sent again after a crash, it is dropped by its token.
            tracing::warn!(%error, "it could not be noted that a batch is inserted");
        }
    }

    /// The last batch that was given out cannot be inserted: keeps it elsewhere, so that the next can be.
    pub(crate) async fn set_aside(&mut self, batch: Batch, reason: &str) {
        let chunks = (0..).zip(batch.chunks);
        let records = chunks.map(|(number, chunk)| chunk.into_record(number));
        let records: Vec<_> = records.collect();
        let mut pause = BACKOFF_MIN;
        let kept = loop {
            match self.aside.batch::<R>(&batch.statements, &records).await {
                Ok(kept) => break kept,
                Err(error) => {
                    tracing::error!(%error, "a batch cannot be set aside; trying again");
                    R::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF_MAX);
                }
            }
        };
        self.shard.metrics.set_aside_rows.inc_by(batch.rows as u64);
        tracing::error!(
            rows = batch.rows, token = batch.token, reason, kept = %kept.display(),
            "a batch was set aside; if its rows are not stored, move the folder into wal_dir and restart"
        );
        self.inserted().await;
    }
}

enum Step {
    Batch(Box<Batch>),
    Again,
    Ended,
}

impl<R: Reactor> Source<R> {
    /// Opens a log where it was left; `None` when its cursor is broken. A log without one was put there by
    /// hand: nothing of it is inserted.
    async fn open(log: &Rc<Log>) -> Result<Option<Self>, LogError> {
        let failed = |source| LogError::new(Work::Read, &log.folder.join(CURSOR), source);
        let cursor = match CursorFile::<R>::open(&log.folder).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let created = CursorFile::create(&log.folder, Slot::default()).await;
                let cursor = created.map_err(failed)?;
                R::sync_folder(&log.folder).await.map_err(failed)?;
                Some(cursor)
            }
            opened => opened.map_err(failed)?,
        };
        Ok(cursor.map(|cursor| Source {
            reader: Reader::new(Rc::clone(log), cursor.slot().begin),
            unsettled: cursor.slot().begin < cursor.slot().end,
            counted_from: Position::default(),
            log: Rc::clone(log),
            cursor,
        }))
    }

    /// The batch whose outcome is unknown, or the next one; `None` when nothing is left.
    async fn batch(
        &mut self,
        shard: &Shard,
        aside: &Aside,
        seen: InsertsSeen,
    ) -> Result<Option<Batch>, LogError> {
        if self.unsettled {
            let again = self.read_batch(shard, aside, seen).await?;
            if again.is_some() {
                return Ok(again);
            }
            // All of it is damaged.
            self.unsettled = false;
        }
        self.read_batch(shard, aside, seen).await
    }

    async fn read_batch(
        &mut self,
        shard: &Shard,
        aside: &Aside,
        seen: InsertsSeen,
    ) -> Result<Option<Batch>, LogError> {
        let slot = self.cursor.slot().clone();
        let begin = if self.unsettled { slot.begin } else { slot.end };
        let known_end = self.unsettled.then_some(slot.end);
        if self.reader.at() != begin {
            // A try before this one read on and failed.
            self.reader = Reader::new(Rc::clone(&self.log), begin);
        }
        let mut batch = Batch {
            chunks: Vec::new(),
            acks: Acks::default(),
            rows: 0,
            since: R::now(),
            statements: Rc::default(),
            token: String::new(),
            seen,
            outcome_unknown: self.unsettled,
            memory: shard.memory.reservation(),
        };
        let batch_bytes = shard.memory.plan().batch_bytes;
        let mut bytes = 0;
        // Not where the reader stands when it finds no more: that may be in the next segment, behind its
        // header, and to get there again it would read the chunk that stands there by then.
        let mut end = begin;
        loop {
            let full = match known_end {
                Some(end) => self.reader.at() >= end,
                None => batch.rows >= shard.config.batch_rows_max || bytes >= batch_bytes,
            };
            if full {
                break;
            }
            match self.reader.next().await? {
                Found::Chunk {
                    chunk,
                    statements,
                    missing,
                } => {
                    if missing > 0 {
                        shard.metrics.log_missing_chunks.inc_by(missing);
                        tracing::error!(log = %self.log.folder.display(), missing, "chunks are missing from the log");
                    }
                    bytes += chunk.bytes();
                    batch.memory.set(bytes.saturating_sub(batch_bytes));
                    batch.rows += chunk.rows;
                    batch.statements = statements;
                    batch.chunks.push(chunk);
                }
                Found::Damage(damage) => aside.damage::<R>(&self.log, &damage).await?,
                Found::End => break,
            }
            end = self.reader.at();
        }
        if batch.chunks.is_empty() {
            return Ok(None);
        }
        if self.unsettled {
            batch.seen = slot.inserts_seen;
        } else {
            let next = Slot {
                batch: slot.batch + 1,
                begin,
                end,
                inserts_seen: seen,
                ..slot
            };
            self.store(next).await?;
            fault::point("recorded");
            self.unsettled = true;
            self.trim(shard).await;
        }
        batch.token = format!("{}-{}", self.log.id.name(), self.cursor.slot().batch);
        Ok(Some(batch))
    }

    /// Goes on behind a segment that cannot be read.
    async fn give_up_segment(&mut self, shard: &Shard, aside: &Aside) -> Result<(), LogError> {
        let Some(number) = self.reader.skip_segment() else {
            return Ok(());
        };
        aside.segment::<R>(&self.log, number).await?;
        self.count_from(shard, self.reader.at());
        self.log.remove_segment(number);
        Ok(())
    }

    async fn store(&mut self, slot: Slot) -> Result<(), LogError> {
        let stored = self.cursor.store(slot).await;
        stored.map_err(|source| LogError::new(Work::Write, &self.log.folder.join(CURSOR), source))
    }

    /// Notes that all that was given out is inserted.
    async fn note_inserted(&mut self, shard: &Shard) -> Result<(), LogError> {
        let slot = self.cursor.slot().clone();
        if slot.begin < slot.end {
            let begin = slot.end;
            self.store(Slot { begin, ..slot }).await?;
        }
        self.trim(shard).await;
        Ok(())
    }

    /// What lies before `position` waits no longer.
    fn count_from(&mut self, shard: &Shard, position: Position) {
        let (from, to) = (self.counted_from, position);
        let inserted = self
            .log
            .bytes_before(to)
            .saturating_sub(self.log.bytes_before(from));
        self.counted_from = position.max(from);
        shard.log_changed(-(inserted as i64));
    }

    /// Removes the segments before the cursor.
    async fn trim(&mut self, shard: &Shard) {
        fault::point("trim");
        let begin = self.cursor.slot().begin;
        self.count_from(shard, begin);
        while let Some(segment) = self.log.pop_segment_before(begin) {
            let path = self.log.segment_path(segment.number);
            if let Err(error) = R::remove(&path).await {
                tracing::warn!(%error, path = %path.display(), "an inserted segment of the log cannot be removed");
            }
        }
    }

    /// Removes the whole log, all of which is inserted.
    async fn remove(&mut self, shard: &Shard) -> Result<(), LogError> {
        self.note_inserted(shard).await?;
        self.count_from(shard, Position::END);
        self.log.remove::<R>().await
    }
}
