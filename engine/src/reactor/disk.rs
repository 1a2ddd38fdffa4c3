#![allow(unsafe_code)]
//! Files and folders of the machine, as both real reactors use them: calls that may block are made on
//! threads of their own, and what the page cache holds is read without waiting for anyone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Makes a call that may block on a thread of its own: for what is rare.
pub(super) async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("blocking".into())
        .spawn(move || {
            // Nobody waits any more if this fails.
            let _ = sender.send(work());
        })?;
    receiver.await.map_err(io::Error::other)?
}

pub(super) async fn make_folder(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    on_own_thread(move || fs::create_dir_all(path)).await
}

pub(super) async fn list(folder: &Path) -> io::Result<Vec<String>> {
    let folder = folder.to_owned();
    on_own_thread(move || {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    })
    .await
}

pub(super) async fn remove(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    on_own_thread(move || {
        if path.is_dir() {
            fs::remove_dir(path)
        } else {
            fs::remove_file(path)
        }
    })
    .await
}

pub(super) async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    on_own_thread(move || fs::rename(from, to)).await
}

pub(super) async fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    on_own_thread(move || fs::File::open(folder)?.sync_all()).await
}

/// Opens a file for writing and reading; a `new` one must not be there yet.
pub(super) async fn open_host_file(path: &Path, new: bool) -> io::Result<HostFile> {
    let path = path.to_owned();
    on_own_thread(move || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(new);
        Ok(HostFile {
            file: options.open(path)?,
        })
    })
    .await
}

/// A file of the machine.
pub(super) struct HostFile {
    pub(super) file: fs::File,
}

impl HostFile {
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Appends to `bytes`, up to its capacity, what the page cache holds of the file from `offset` on.
    /// False when that is nothing: then the file ends there, or it must be read in a way that may wait.
    pub(super) fn read_cached(&self, offset: u64, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let room = bytes.spare_capacity_mut();
        let part = libc::iovec {
            iov_base: room.as_mut_ptr().cast(),
            iov_len: room.len(),
        };
        let offset = i64::try_from(offset).map_err(io::Error::other)?;
        let fd = self.file.as_raw_fd();
        // SAFETY: `part` is one valid vector over the spare capacity of `bytes`, which outlives the call;
        // the kernel writes at most its length.
        let count = unsafe { libc::preadv2(fd, &raw const part, 1, offset, libc::RWF_NOWAIT) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                // Not in the cache, or a file system that cannot say.
                Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS) => Ok(false),
                _ => Err(error),
            };
        };
        // SAFETY: the kernel has written `count` bytes behind the present length, within the capacity.
        unsafe { bytes.set_len(bytes.len() + count) };
        Ok(count > 0)
    }

    /// Writes all of `bytes`, and gives them back.
    pub(super) fn write(&self, offset: u64, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.file.write_all_at(&bytes, offset)?;
        Ok(bytes)
    }

    /// Up to `length` bytes from `offset` on; none only where the file ends.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let count = self.file.read_at(&mut bytes, offset)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use crate::config::ReactorChoice;
    use crate::reactor::sim::Sim;
    use crate::reactor::{Chosen, Epoll, File, Reactor, Uring, choose};

    /// Scenario: on each reactor that works here a file is made, written at two places, synced, read with and
    /// beyond its end, cut, renamed and removed; one that is there is made again, one that is not is opened.
    /// Guarantee: what was written is read, ends are seen, and the folder lists what is there; the simulated
    /// disk is no different.
    #[test]
    fn files_and_folders_are_those_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let epoll = folder.path().join("a/epoll");
        Epoll::run(None, || async move { check::<Epoll>(&epoll).await }).unwrap();
        Sim::run(None, || check::<Sim>(Path::new("/a/sim"))).unwrap();
        if matches!(choose(ReactorChoice::Auto, 1), Ok(Chosen::Uring { .. })) {
            let uring = folder.path().join("a/uring");
            Uring::run(None, || async move { check::<Uring>(&uring).await }).unwrap();
        }
    }

    async fn check<R: Reactor>(folder: &Path) {
        R::make_folder(folder).await.unwrap();
        R::make_folder(folder).await.unwrap();
        let path = folder.join("one");
        let file = R::File::create(&path).await.unwrap();
        file.write_at(0, b"hello ".to_vec()).await.unwrap();
        file.write_at(6, vec![7; 3 << 20]).await.unwrap();
        file.sync().await.unwrap();
        R::sync_folder(folder).await.unwrap();
        assert_eq!(file.size().unwrap(), 6 + (3 << 20));
        assert_eq!(file.read_at(2, 5).await.unwrap(), b"llo \x07");
        assert_eq!(file.read_at(6, 4 << 20).await.unwrap(), vec![7; 3 << 20]);
        assert!(file.read_at(10 << 20, 1).await.unwrap().is_empty());
        file.truncate(5).await.unwrap();
        drop(file);
        let again = R::File::create(&path).await;
        assert_eq!(again.err().unwrap().kind(), ErrorKind::AlreadyExists);

        let two = folder.join("two");
        R::rename(&path, &two).await.unwrap();
        assert_eq!(R::list(folder).await.unwrap(), ["two"]);
        let file = R::File::open(&two).await.unwrap();
        assert_eq!(file.read_at(0, 99).await.unwrap(), b"hello");
        let gone = R::File::open(&path).await;
        assert_eq!(gone.err().unwrap().kind(), ErrorKind::NotFound);
        R::remove(&two).await.unwrap();
        assert!(R::list(folder).await.unwrap().is_empty());
        R::remove(folder).await.unwrap();
    }
}
