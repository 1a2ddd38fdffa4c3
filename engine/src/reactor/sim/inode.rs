//! One file of the simulated disk: what its readers see, and what would be there after a loss of power.
//! The two differ by the writes since the last sync, and a crash keeps any part of those, sector by sector.

use fastrand::Rng;

/// Bytes that a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;

/// See the module.
#[derive(Default)]
pub(super) struct Inode {
    /// What is read: the page cache.
    pub(super) seen: Vec<u8>,
    /// What was synced.
    durable: Vec<u8>,
    /// What was done since, in order.
    unsynced: Vec<Effect>,
    /// How many changes came before those.
    settled: usize,
}

/// A change of a file's content.
enum Effect {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// How a crash treats what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    All,
    /// Every sector of every write by chance.
    Some,
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl Effect {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Effect::Write { offset, bytes } => put(content, *offset, bytes),
            Effect::Truncate(length) => content.resize(*length, 0),
        }
    }
}

impl Inode {
    pub(super) fn write(&mut self, offset: usize, bytes: Vec<u8>) {
        put(&mut self.seen, offset, &bytes);
        self.unsynced.push(Effect::Write { offset, bytes });
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.unsynced.push(Effect::Truncate(length));
    }

    /// How many changes there were so far.
    pub(super) fn changes(&self) -> usize {
        self.settled + self.unsynced.len()
    }

    fn settle(&mut self, changes: usize) -> Vec<Effect> {
        let count = changes.saturating_sub(self.settled);
        self.settled += count;
        self.unsynced.drain(..count).collect()
    }

    /// Makes the first `changes` durable.
    pub(super) fn sync(&mut self, changes: usize) {
        for effect in self.settle(changes) {
            effect.apply(&mut self.durable);
        }
    }

    /// A sync that fails: each of the changes may have become durable or not, and none will be tried again,
    /// though all can still be read, as on Linux. Readers may see the loss at once.
    pub(super) fn fail_sync(&mut self, changes: usize, random: &mut Rng) {
        for effect in self.settle(changes) {
            if random.bool() {
                effect.apply(&mut self.durable);
            }
        }
        if self.unsynced.is_empty() && random.u8(..4) == 0 {
            self.seen.clone_from(&self.durable);
        }
    }

    /// The power is lost: what was not synced is kept in part, torn between sectors and out of order.
    pub(super) fn crash(&mut self, random: &mut Rng) {
        let kept = [Kept::Nothing, Kept::All, Kept::Some, Kept::Some];
        let kept = kept[random.usize(..kept.len())];
        let longest = self.seen.len();
        for effect in self.settle(self.changes()) {
            match (kept, &effect) {
                (Kept::Nothing, _) => {}
                (Kept::All, effect) => effect.apply(&mut self.durable),
                (Kept::Some, Effect::Truncate(_)) => {
                    if random.bool() {
                        effect.apply(&mut self.durable);
                    }
                }
                (Kept::Some, Effect::Write { offset, bytes }) => {
                    for (offset, sector) in sectors(*offset, bytes) {
                        if random.bool() {
                            put(&mut self.durable, offset, sector);
                        }
                    }
                }
            }
        }
        // The size may have been written before the data.
        if kept == Kept::Some && random.bool() && self.durable.len() < longest {
            self.durable.resize(longest, 0);
        }
        self.seen.clone_from(&self.durable);
    }

    /// A bit of what is stored turns over.
    pub(super) fn rot(&mut self, random: &mut Rng) {
        if self.durable.is_empty() {
            return;
        }
        let at = random.usize(..self.durable.len());
        let bit = 1 << random.u8(..8);
        self.durable[at] ^= bit;
        if let Some(byte) = self.seen.get_mut(at) {
            *byte ^= bit;
        }
    }
}

/// The parts of `bytes` by the sectors that they lie in.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &bytes[at..];
        if rest.is_empty() {
            return None;
        }
        let place = offset + at;
        let length = rest.len().min(SECTOR - place % SECTOR);
        at += length;
        Some((place, &rest[..length]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: writes that begin and end inside sectors.
    /// Guarantee: they are cut where sectors end, and nothing of them is missing.
    #[test]
    fn writes_are_cut_between_sectors() {
        let bytes: Vec<u8> = (0..1_300).map(|n| n as u8).collect();
        for offset in [0, 1, 511, 512, 700] {
            let parts: Vec<_> = sectors(offset, &bytes).collect();
            let mut next = offset;
            for (at, part) in &parts {
                assert_eq!(*at, next);
                assert_eq!(at / SECTOR, (at + part.len() - 1) / SECTOR);
                next += part.len();
            }
            assert_eq!(next, offset + bytes.len());
        }
    }

    /// Scenario: files are written, synced, written again, and crash, under many seeds.
    /// Guarantee: what was synced is always there; of the rest all is seen lost, kept and torn.
    #[test]
    fn a_crash_keeps_what_was_synced_and_anything_of_the_rest() {
        let (mut lost, mut kept, mut torn) = (false, false, false);
        for seed in 0..100 {
            let mut inode = Inode::default();
            inode.write(0, vec![1; 3 * SECTOR]);
            inode.sync(inode.changes());
            inode.write(3 * SECTOR, vec![2; 4 * SECTOR]);
            inode.crash(&mut Rng::with_seed(seed));
            assert_eq!(inode.seen[..3 * SECTOR], vec![1; 3 * SECTOR]);
            let twos = inode.seen.iter().filter(|byte| **byte == 2).count();
            assert_eq!(twos % SECTOR, 0);
            lost |= twos == 0;
            kept |= twos == 4 * SECTOR;
            torn |= (1..4 * SECTOR).contains(&twos);
        }
        assert!(lost && kept && torn);
    }

    /// Scenario: a sync fails, the next one succeeds, the power is lost.
    /// Guarantee: what the first should have written can be lost for good, though it could be read.
    #[test]
    fn a_sync_that_failed_is_not_made_good_by_the_next() {
        let lost = (0..100).any(|seed| {
            let mut random = Rng::with_seed(seed);
            let mut inode = Inode::default();
            inode.write(0, vec![1; SECTOR]);
            inode.fail_sync(1, &mut random);
            let read = inode.seen.clone();
            inode.sync(inode.changes());
            inode.crash(&mut random);
            read == [1; SECTOR] && inode.seen.is_empty()
        });
        assert!(lost);
    }
}
