//! The simulated disk: folders, names, and what a loss of power leaves of both. A name that was made,
//! changed or removed is durable once its folder was synced; before that a crash keeps it or not. Errors
//! come when they are asked for.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;

use super::executor::Sleep;
use super::inode::Inode;
use super::world::{try_with, with};
use crate::reactor::File;

type InodeId = u64;

/// Files and folders by their whole path.
type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(InodeId),
}

/// See the module.
#[derive(Default)]
pub(crate) struct Disk {
    names: Names,
    durable: Names,
    /// What was done to names since, in order.
    unsynced: Vec<Change>,
    inodes: BTreeMap<InodeId, Inode>,
    next: InodeId,
    pub(crate) faults: DiskFaults,
}

/// What goes wrong at present.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskFaults {
    /// How often a write fails (EIO), a part of it done.
    pub(crate) write: f64,
    /// How often a sync fails (EIO).
    pub(crate) sync: f64,
    /// How often a read fails (EIO).
    pub(crate) read: f64,
    /// Bytes that all files together may have before writes fail (ENOSPC).
    pub(crate) capacity: Option<usize>,
    /// How long anything takes at most, in addition.
    pub(crate) slow: Duration,
}

/// A change of names.
#[derive(Debug, Clone)]
pub(super) enum Change {
    MakeFolder(PathBuf),
    Create(PathBuf, InodeId),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    /// A file is renamed; which one stays known when a crash lost its old name.
    Move(PathBuf, PathBuf, InodeId),
}

impl Change {
    /// The folder whose sync makes it durable.
    fn folder(&self) -> &Path {
        let path = match self {
            Change::MakeFolder(path) | Change::Create(path, _) | Change::Remove(path) => path,
            Change::Rename(_, to) | Change::Move(_, to, _) => to,
        };
        path.parent().unwrap_or(Path::new("/"))
    }
}

impl Disk {
    /// The power is lost: anything of what was not synced is gone.
    pub(crate) fn crash(&mut self, random: &mut Rng) {
        // A journal keeps what was done first; other file systems keep what they like.
        let in_order = random.bool();
        let mut kept = true;
        for change in std::mem::take(&mut self.unsynced) {
            kept = (kept || !in_order) && random.u8(..4) != 0;
            if kept {
                apply(&mut self.durable, &change);
            }
        }
        // What was synced in a folder that is lost is lost with it.
        let names = &self.durable;
        let is_there = |path: &Path| {
            let mut above = path
                .ancestors()
                .skip(1)
                .filter(|above| above.parent().is_some());
            above.all(|folder| names.contains_key(folder))
        };
        let there = names.iter().filter(|(path, _)| is_there(path));
        self.names = there.map(|(path, node)| (path.clone(), *node)).collect();
        self.durable = self.names.clone();
        self.forget_unnamed();
        for inode in self.inodes.values_mut() {
            inode.crash(random);
        }
    }

    /// A bit turns over in a file whose path holds `part`; `None` when there is no such file.
    pub(crate) fn rot(&mut self, part: &str, random: &mut Rng) -> Option<PathBuf> {
        let named = self.names.iter().filter_map(|(path, node)| match node {
            Node::File(id) if path.to_string_lossy().contains(part) => Some((path, *id)),
            _ => None,
        });
        let (path, id) = random.choice(named.collect::<Vec<_>>())?;
        self.inodes.get_mut(&id)?.rot(random);
        Some(path.clone())
    }

    /// Makes a folder that is durable, with those above it.
    pub(crate) fn install_folder(&mut self, path: &Path) {
        for path in path.ancestors() {
            self.names.insert(path.to_owned(), Node::Folder);
            self.durable.insert(path.to_owned(), Node::Folder);
        }
    }

    /// Bytes in files that have a name.
    pub(crate) fn used(&self) -> usize {
        self.files().iter().map(|(_, size)| size).sum()
    }

    /// Every file's path and size.
    pub(crate) fn files(&self) -> Vec<(PathBuf, usize)> {
        let files = self.names.iter().filter_map(|(path, node)| match node {
            Node::File(id) => Some((path.clone(), self.inodes.get(id)?.seen.len())),
            Node::Folder => None,
        });
        files.collect()
    }

    /// Forgets files that no name leads to. Handles to them are gone as well: this follows a crash.
    fn forget_unnamed(&mut self) {
        let names = self.names.values();
        let named: Vec<_> = names.filter(|node| **node != Node::Folder).collect();
        self.inodes
            .retain(|id, _| named.contains(&&Node::File(*id)));
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.parent().is_none() || self.names.get(path) == Some(&Node::Folder)
    }

    fn is_empty(&self, folder: &Path) -> bool {
        !self.names.keys().any(|path| path.parent() == Some(folder))
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        let not_found = || Err(io::ErrorKind::NotFound.into());
        match &change {
            Change::MakeFolder(path) => {
                let above: Vec<_> = path.ancestors().collect();
                for path in above.into_iter().rev() {
                    if !self.is_folder(path) {
                        self.done(Change::MakeFolder(path.to_owned()));
                    }
                }
                return Ok(());
            }
            Change::Create(path, _) if !self.is_folder(path.parent().unwrap_or(path)) => {
                return not_found();
            }
            Change::Create(path, _) if self.names.contains_key(path) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Change::Remove(path) | Change::Rename(path, _) if !self.names.contains_key(path) => {
                return not_found();
            }
            Change::Remove(path) if self.is_folder(path) && !self.is_empty(path) => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        self.done(change);
        Ok(())
    }

    fn done(&mut self, mut change: Change) {
        if let Change::Rename(from, to) = &change
            && let Some(Node::File(id)) = self.names.get(from)
        {
            change = Change::Move(from.clone(), to.clone(), *id);
        }
        apply(&mut self.names, &change);
        self.unsynced.push(change);
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        if !self.is_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (synced, rest): (Vec<_>, _) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|change| change.folder() == folder);
        self.unsynced = rest;
        for change in &synced {
            apply(&mut self.durable, change);
        }
        Ok(())
    }

    /// Writes what fits.
    fn write(&mut self, id: InodeId, offset: usize, mut bytes: Vec<u8>) -> io::Result<()> {
        let used = self.used();
        let Some(inode) = self.inodes.get_mut(&id) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let grows = (offset + bytes.len()).saturating_sub(inode.seen.len());
        let room = self
            .faults
            .capacity
            .map_or(usize::MAX, |all| all.saturating_sub(used));
        let missing = grows.saturating_sub(room);
        bytes.truncate(bytes.len().saturating_sub(missing));
        if !bytes.is_empty() {
            inode.write(offset, bytes);
        }
        match missing {
            0 => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

/// A change that lost what it builds on (a crash may do that) does nothing, but for names in a folder that is
/// not durable yet: its own name may be synced later.
fn apply(names: &mut Names, change: &Change) {
    match change {
        Change::Remove(path) => {
            names.remove(path);
        }
        Change::MakeFolder(path) => {
            names.insert(path.clone(), Node::Folder);
        }
        Change::Create(path, id) => {
            names.insert(path.clone(), Node::File(*id));
        }
        Change::Move(from, to, id) => {
            names.remove(from);
            names.insert(to.clone(), Node::File(*id));
        }
        Change::Rename(from, to) => {
            let below: Vec<_> = names
                .keys()
                .filter(|path| path.starts_with(from))
                .cloned()
                .collect();
            for path in below {
                if let (Some(node), Ok(rest)) = (names.remove(&path), path.strip_prefix(from)) {
                    let to = if rest.as_os_str().is_empty() {
                        to.clone()
                    } else {
                        to.join(rest)
                    };
                    names.insert(to, node);
                }
            }
        }
    }
}

/// Something like an input or output error.
fn io_error() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

/// Waits as long as a call to the disk takes: some microseconds, now and then much longer.
async fn work(usual: Duration) {
    let time = with(|world| {
        let random = &mut world.random;
        let slow = world.disk.faults.slow.mul_f64(random.f64());
        slow + usual.mul_f64(2.0 * random.f64())
    });
    Sleep::new(time).await;
}

const QUICK: Duration = Duration::from_micros(20);
const SYNC: Duration = Duration::from_micros(400);

pub(super) async fn change(change: Change) -> io::Result<()> {
    work(QUICK).await;
    with(|world| world.disk.change(change))
}

pub(super) async fn list(folder: &Path) -> io::Result<Vec<String>> {
    work(QUICK).await;
    with(|world| {
        if !world.disk.is_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let paths = world.disk.names.keys();
        let inside = paths.filter(|path| path.parent() == Some(folder));
        let names = inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        let mut names: Vec<_> = names.collect();
        world.random.shuffle(&mut names);
        Ok(names)
    })
}

pub(super) async fn sync_folder(folder: &Path) -> io::Result<()> {
    work(SYNC).await;
    with(|world| {
        if world.random.f64() < world.disk.faults.sync {
            return Err(io_error());
        }
        world.disk.sync_folder(folder)
    })
}

/// An open file.
pub(crate) struct SimFile {
    id: InodeId,
}

impl File for SimFile {
    async fn create(path: &Path) -> io::Result<Self> {
        work(QUICK).await;
        with(|world| {
            let disk = &mut world.disk;
            disk.next += 1;
            disk.change(Change::Create(path.to_owned(), disk.next))?;
            disk.inodes.insert(disk.next, Inode::default());
            Ok(SimFile { id: disk.next })
        })
    }

    async fn open(path: &Path) -> io::Result<Self> {
        work(QUICK).await;
        with(|world| match world.disk.names.get(path) {
            Some(Node::File(id)) => Ok(SimFile { id: *id }),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn size(&self) -> io::Result<u64> {
        with(|world| {
            world
                .disk
                .inodes
                .get(&self.id)
                .map(|inode| inode.seen.len() as u64)
        })
        .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        work(QUICK).await;
        with(|world| {
            if world.random.f64() < world.disk.faults.read {
                return Err(io_error());
            }
            let inode = world.disk.inodes.get(&self.id);
            let seen = inode.map_or(&[][..], |inode| &inode.seen);
            let start = usize::try_from(offset)
                .map_err(io::Error::other)?
                .min(seen.len());
            let end = seen.len().min(start.saturating_add(length));
            Ok(seen[start..end].to_vec())
        })
    }

    async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut write = Write {
            id: self.id,
            offset,
            bytes,
        };
        work(QUICK).await;
        let fails = with(|world| world.random.f64() < world.disk.faults.write);
        if fails {
            // What is dropped below does a part of it.
            return Err(io_error());
        }
        let bytes = std::mem::take(&mut write.bytes);
        with(|world| world.disk.write(write.id, offset, bytes.clone()))?;
        Ok(bytes)
    }

    async fn sync(&self) -> io::Result<()> {
        let id = &self.id;
        let before = with(|world| world.disk.inodes.get(id).map_or(0, Inode::changes));
        work(SYNC).await;
        with(|world| {
            let fails = world.random.f64() < world.disk.faults.sync;
            let Some(inode) = world.disk.inodes.get_mut(id) else {
                return Err(io_error());
            };
            if fails {
                inode.fail_sync(before, &mut world.random);
                return Err(io_error());
            }
            inode.sync(before);
            Ok(())
        })
    }

    async fn truncate(&self, length: u64) -> io::Result<()> {
        work(QUICK).await;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        with(|world| {
            if let Some(inode) = world.disk.inodes.get_mut(&self.id) {
                inode.truncate(length);
            }
            Ok(())
        })
    }
}

/// A write on its way. If nobody waits for it any more, or it fails, any beginning of it may be done.
struct Write {
    id: InodeId,
    offset: usize,
    bytes: Vec<u8>,
}

impl Drop for Write {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return;
        }
        try_with(|world| {
            let done = match world.random.u8(..3) {
                0 => 0,
                1 => bytes.len(),
                _ => world.random.usize(..bytes.len()),
            };
            bytes.truncate(done);
            // Without room a part of this part is done; its error has nobody to go to.
            let _ = world.disk.write(self.id, self.offset, bytes);
        });
    }
}
