//! The write-ahead log of a shard: chunks go in at its end, are safe when they are synced, and leave it when
//! ClickHouse has confirmed their batch. Each start of the engine begins a log of its own for each
//! shard; what earlier runs left is inserted first, whatever the number of shards was then.
//!
//! A log is a folder `<run>-<shard>` of numbered segments and the file `cursor`; FORMAT.md has the bytes.
//! `append` writes, `recent` holds what was written last, `read` reads back and finds damage, `queue` makes
//! batches of what is read and removes what is inserted, `aside` keeps what cannot be inserted.

mod append;
mod aside;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod check;
mod cursor;
mod format;
mod queue;
mod read;
mod recent;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use append::Appender;
pub(crate) use format::LogId;
pub(crate) use queue::Queue;

use crate::reactor::{File, Reactor};
use cursor::{CURSOR, CursorFile, UNFINISHED};
use format::{Position, Slot};
use recent::{Logged, Recent};

/// The log's files cannot be worked on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {work} {}: {source}{}", path.display(), hint(source))]
pub(crate) struct LogError {
    work: Work,
    path: PathBuf,
    source: io::Error,
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Write,
    Read,
    SetAside,
    Remove,
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Work::Write => "write",
            Work::Read => "read",
            Work::SetAside => "set aside",
            Work::Remove => "remove",
        })
    }
}

impl LogError {
    fn new(work: Work, path: &Path, source: io::Error) -> Self {
        LogError {
            work,
            path: path.to_owned(),
            source,
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room there, or move wal_dir to a larger disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; give the engine's user the right to write there"
        }
        _ => "",
    }
}

/// One log: its folder, and how far its segments go. Shared by the one that appends and the one that reads.
pub(crate) struct Log {
    id: LogId,
    folder: PathBuf,
    segments: RefCell<VecDeque<Segment>>,
    recent: RefCell<Recent>,
}

/// A segment whose header, and all before its end, is on disk.
#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    end: u64,
}

impl Log {
    /// The log `id` in the folder `parent`. Nothing is read or made.
    pub(crate) fn new(parent: &Path, id: LogId) -> Self {
        Log {
            folder: parent.join(id.name()),
            id,
            segments: RefCell::default(),
            recent: RefCell::new(Recent::new(0)),
        }
    }

    /// The same, which keeps up to so many bytes of what was logged last in memory, too.
    pub(crate) fn keeping(mut self, bytes: usize) -> Self {
        self.recent = RefCell::new(Recent::new(bytes));
        self
    }

    fn keep(&self, logged: Logged) {
        self.recent.borrow_mut().keep(logged);
    }

    /// The chunk at `at`, if memory has it.
    fn take_recent(&self, at: Position) -> Option<Logged> {
        self.recent.borrow_mut().take(at)
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.folder.join(segment_name(number))
    }

    /// Makes the folder and its cursor; what an earlier try left is made anew.
    async fn create<R: Reactor>(&self) -> io::Result<()> {
        R::make_folder(&self.folder).await?;
        CursorFile::<R>::create(&self.folder, Slot::default()).await?;
        R::sync_folder(&self.folder).await?;
        match self.folder.parent() {
            Some(parent) => R::sync_folder(parent).await,
            None => Ok(()),
        }
    }

    /// Removes all files that a log has, also those that could not be removed when their time came. The cursor goes
    /// last, and only when the rest is surely gone: without it the rest would be inserted again. What is gone
    /// already is no error, so that after one it can be tried again.
    async fn remove<R: Reactor>(&self) -> Result<(), LogError> {
        let failed = |source| LogError::new(Work::Remove, &self.folder, source);
        self.segments.borrow_mut().clear();
        let names = match R::list(&self.folder).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(failed)?,
        };
        for name in names {
            if name == UNFINISHED || segment_number(&name).is_some() {
                R::remove(&self.folder.join(name)).await.map_err(failed)?;
            }
        }
        R::sync_folder(&self.folder).await.map_err(failed)?;
        match R::remove(&self.folder.join(CURSOR)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        if let Err(error) = R::remove(&self.folder).await {
            // Nothing in it is the log's any more.
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "the folder of an inserted log cannot be removed; remove it by hand");
        }
        Ok(())
    }

    fn add_segment(&self, number: u64, end: u64) {
        let segment = Segment { number, end };
        self.segments.borrow_mut().push_back(segment);
    }

    fn set_end(&self, number: u64, end: u64) {
        for segment in self.segments.borrow_mut().iter_mut() {
            if segment.number == number {
                segment.end = end;
            }
        }
    }

    /// Takes the first segment, if it lies before `begin` altogether.
    fn pop_segment_before(&self, begin: Position) -> Option<Segment> {
        let mut segments = self.segments.borrow_mut();
        segments.pop_front_if(|segment| segment.number < begin.segment)
    }

    fn bytes(&self) -> u64 {
        self.bytes_before(Position::END)
    }

    fn bytes_before(&self, position: Position) -> u64 {
        let before = |segment: &Segment| match segment.number.cmp(&position.segment) {
            Ordering::Less => segment.end,
            Ordering::Equal => segment.end.min(position.offset),
            Ordering::Greater => 0,
        };
        self.segments.borrow().iter().map(before).sum()
    }

    /// Reads from the folder which segments there are, and how long.
    async fn find_segments<R: Reactor>(&self) -> Result<(), LogError> {
        let failed = |source| LogError::new(Work::Read, &self.folder, source);
        let names = R::list(&self.folder).await.map_err(failed)?;
        let mut numbers: Vec<_> = names
            .iter()
            .filter_map(|name| segment_number(name))
            .collect();
        numbers.sort_unstable();
        self.segments.borrow_mut().clear();
        for number in numbers {
            let file = R::File::open(&self.segment_path(number)).await;
            let size = file.and_then(|file| file.size()).map_err(failed)?;
            self.add_segment(number, size);
        }
        Ok(())
    }

    /// Forgets a segment.
    fn remove_segment(&self, number: u64) {
        let mut segments = self.segments.borrow_mut();
        segments.retain(|segment| segment.number != number);
    }

    /// The first segment with this number or a later one, and whether it is the last of all.
    fn segment_from(&self, number: u64) -> Option<(Segment, bool)> {
        let segments = self.segments.borrow();
        let found = segments.iter().find(|segment| segment.number >= number)?;
        let last = segments.back().map(|segment| segment.number);
        Some((*found, last == Some(found.number)))
    }
}

/// `0000000000.segment`
fn segment_name(number: u64) -> String {
    format!("{number:010}.segment")
}

/// The number of a segment by its file's name.
fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".segment")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}
