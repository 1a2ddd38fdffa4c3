//! What the log holds and ClickHouse cannot be given: damaged bytes, logs that cannot be read, batches that
//! ClickHouse will not take or may have taken long ago. It is moved to the folder `aside` beside the
//! logs, counted and reported, so that a person can decide; nothing is ever dropped here.

use std::iter;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::format::{LogId, SegmentHeader};
use super::read::Damage;
use super::{Log, LogError, Work, segment_name};
use crate::metrics::ShardMetrics;
use crate::reactor::{File, Reactor};

/// Name of the folder.
pub(super) const ASIDE: &str = "aside";
/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// See the module.
pub(super) struct Aside {
    folder: PathBuf,
    metrics: ShardMetrics,
}

impl Aside {
    /// For the logs in the folder `parent`.
    pub(super) fn new(parent: &Path, metrics: ShardMetrics) -> Self {
        Aside {
            folder: parent.join(ASIDE),
            metrics,
        }
    }

    /// Copies damaged bytes out of their segment.
    pub(super) async fn damage<R: Reactor>(
        &self,
        log: &Log,
        damage: &Damage,
    ) -> Result<(), LogError> {
        let bytes = damage.bytes.end - damage.bytes.start;
        let segment = log.segment_path(damage.segment);
        if damage.torn {
            self.metrics.log_torn_bytes.inc_by(bytes);
            tracing::warn!(
                segment = %segment.display(), offset = damage.bytes.start, bytes,
                "the log ends in a write that was never finished, nor acknowledged; it is cut off"
            );
            return Ok(());
        }
        let name = format!(
            "{}-{:010}-{}.damaged",
            log.id.name(),
            damage.segment,
            damage.bytes.start
        );
        let kept = self.folder.join(name);
        self.copy::<R>(&segment, damage, &kept).await?;
        self.metrics.log_damaged_bytes.inc_by(bytes);
        tracing::error!(
            segment = %segment.display(), offset = damage.bytes.start, bytes,
            reason = damage.reason, kept = %kept.display(),
            "bytes of the log are damaged: their rows are lost unless they can be mended; they were set aside"
        );
        Ok(())
    }

    async fn copy<R: Reactor>(
        &self,
        segment: &Path,
        damage: &Damage,
        kept: &Path,
    ) -> Result<(), LogError> {
        let failed = |source| LogError::new(Work::SetAside, kept, source);
        self.begin::<R>(kept).await?;
        let from = R::File::open(segment).await.map_err(failed)?;
        let to = R::File::create(kept).await.map_err(failed)?;
        let mut at = damage.bytes.start;
        while at < damage.bytes.end {
            let length = COPY_BYTES.min((damage.bytes.end - at) as usize);
            let bytes = from.read_at(at, length).await.map_err(failed)?;
            if bytes.is_empty() {
                break;
            }
            let count = bytes.len() as u64;
            let place = at - damage.bytes.start;
            to.write_at(place, bytes).await.map_err(failed)?;
            at += count;
        }
        to.sync().await.map_err(failed)?;
        R::sync_folder(&self.folder).await.map_err(failed)
    }

    /// Makes the folder, and room for a file of that name: an earlier try may have left one.
    async fn begin<R: Reactor>(&self, kept: &Path) -> Result<(), LogError> {
        let failed = |source| LogError::new(Work::SetAside, kept, source);
        R::make_folder(&self.folder).await.map_err(failed)?;
        match R::remove(kept).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Writes a batch as a log of its own, which is inserted when it is moved back beside the others: under
    /// tokens of its own, so a person must have decided that it is not stored yet.
    ///
    /// `records` are its chunks; returns where they are.
    pub(super) async fn batch<R: Reactor>(
        &self,
        statements: &Rc<[String]>,
        records: &[Vec<u8>],
    ) -> Result<PathBuf, LogError> {
        let id = LogId {
            run: uuid::Uuid::new_v4().as_u128(),
            shard: 0,
        };
        let folder = self.folder.join(id.name());
        let path = folder.join(segment_name(0));
        let failed = |source| LogError::new(Work::SetAside, &path, source);
        R::make_folder(&folder).await.map_err(failed)?;
        let header = SegmentHeader {
            id,
            number: 0,
            first_chunk: 0,
            statements: statements.to_vec(),
        };
        let file = R::File::create(&path).await.map_err(failed)?;
        let mut end = 0;
        for bytes in iter::once(header.write()).chain(records.iter().cloned()) {
            let length = bytes.len() as u64;
            file.write_at(end, bytes).await.map_err(failed)?;
            end += length;
        }
        file.sync().await.map_err(failed)?;
        for folder in [&folder, &self.folder] {
            R::sync_folder(folder).await.map_err(failed)?;
        }
        Ok(folder)
    }

    /// Moves a segment that cannot be read.
    pub(super) async fn segment<R: Reactor>(&self, log: &Log, number: u64) -> Result<(), LogError> {
        let from = log.segment_path(number);
        let name = format!("{}-{}", log.id.name(), segment_name(number));
        let kept = self.folder.join(name);
        let failed = |source| LogError::new(Work::SetAside, &kept, source);
        R::make_folder(&self.folder).await.map_err(failed)?;
        R::rename(&from, &kept).await.map_err(failed)?;
        self.metrics.set_aside_segments.inc();
        tracing::error!(
            segment = %from.display(), kept = %kept.display(),
            "a segment of the log cannot be read; it was set aside"
        );
        Ok(())
    }

    /// Moves a whole log that cannot be read.
    pub(super) async fn log<R: Reactor>(&self, log: &Log, reason: &str) -> Result<(), LogError> {
        let kept = self.folder.join(log.id.name());
        let failed = |source| LogError::new(Work::SetAside, &kept, source);
        R::make_folder(&self.folder).await.map_err(failed)?;
        R::rename(&log.folder, &kept).await.map_err(failed)?;
        self.metrics.set_aside_logs.inc();
        tracing::error!(
            log = %log.folder.display(), reason, kept = %kept.display(),
            "a log cannot be read; it was set aside whole"
        );
        Ok(())
    }
}
