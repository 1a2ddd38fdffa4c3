//! How far a log is inserted, on disk: the file `cursor` of its folder. It is written before a batch is first
//! sent, so that after any crash the same chunks are sent under the same token. It has two slots that
//! are written in turn: a crash while one is written leaves the other.

use std::io;
use std::path::Path;

use super::format::{SLOT_BYTES, SLOTS, Slot};
use crate::reactor::{File, Reactor};

/// Name of the file.
pub(super) const CURSOR: &str = "cursor";
/// Its name until it is whole: a process that is killed in the midst of making it leaves no broken cursor.
pub(super) const UNFINISHED: &str = "cursor.new";

/// See the module.
pub(super) struct CursorFile<R: Reactor> {
    file: R::File,
    slot: Slot,
}

impl<R: Reactor> CursorFile<R> {
    /// Makes the file of a new log, in place of what earlier tries left. Its name still has to be synced.
    pub(super) async fn create(folder: &Path, slot: Slot) -> io::Result<Self> {
        let unfinished = folder.join(UNFINISHED);
        match R::remove(&unfinished).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = R::File::create(&unfinished).await?;
        for place in SLOTS {
            file.write_at(place, slot.write()).await?;
        }
        file.sync().await?;
        R::rename(&unfinished, &folder.join(CURSOR)).await?;
        Ok(CursorFile { file, slot })
    }

    /// Opens it; `None` when neither slot is whole.
    pub(super) async fn open(folder: &Path) -> io::Result<Option<Self>> {
        let file = R::File::open(&folder.join(CURSOR)).await?;
        let mut latest: Option<Slot> = None;
        for place in SLOTS {
            let slot = Slot::read(&file.read_at(place, SLOT_BYTES).await?);
            if let Some(slot) = slot
                && latest
                    .as_ref()
                    .is_none_or(|other| other.generation < slot.generation)
            {
                latest = Some(slot);
            }
        }
        Ok(latest.map(|slot| CursorFile { file, slot }))
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Stores what comes after the present slot, and returns when it will outlast a loss of power. After an
    /// error the present slot still counts; to try again is safe, since it is written to the same place.
    pub(super) async fn store(&mut self, mut next: Slot) -> io::Result<()> {
        next.generation = self.slot.generation + 1;
        let place = SLOTS[(next.generation % SLOTS.len() as u64) as usize];
        self.file.write_at(place, next.write()).await?;
        self.file.sync().await?;
        self.slot = next;
        Ok(())
    }
}
