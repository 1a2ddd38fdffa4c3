//! Takes the folders of a ClickHouse that does not run, and has its tables forget the tokens of parts that
//! they do not hold. It never touches a part, and nothing of a running server.
//!
//! A `MergeTree` table without replication notes an insert's token first and renames the part into place
//! then. A server that is killed between the two believes after its restart that it has the part: it drops
//! the insert when it is sent again, and its rows are lost. Seen with 26.7, once in 240 kills under small
//! inserts. Parts are numbered as they come, and both happen under one lock of the table, so such a token
//! names a part with a higher number than any that is there; no other token that still matters does.
//!
//! The tokens are in `store/*/UUID/deduplication_logs/deduplication_log_N.txt`, replayed by ascending N: a
//! line is an operation (1 adds, 2 drops), the part's name and the token's hash, separated by tabs. This
//! appends a line that drops.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::Error;

const ADDS: &str = "1";
const DROPS: &str = "2";

/// Has the tables below `folders`, which are the disks of one server, forget the tokens of parts that they do
/// not hold, and gives back how many tokens that were.
///
/// # Errors
/// [`Error::ServerRuns`], [`Error::Io`]. What was done until then stays, and is right.
pub fn forget_lost_tokens(folders: &[PathBuf]) -> Result<usize, Error> {
    let _locks = folders
        .iter()
        .map(|folder| lock(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let mut forgotten = 0;
    for folder in folders {
        for table in tables(&folder.join("store")).map_err(Error::io("read", folder))? {
            let highest = highest_part(folders, folder, &table);
            let highest = highest.map_err(Error::io("read the parts of", &table))?;
            forgotten +=
                forget(&table, highest).map_err(Error::io("mend the tokens of", &table))?;
        }
    }
    Ok(forgotten)
}

/// Keeps a server from starting meanwhile: it locks the file `status`, and refuses when that is locked.
fn lock(folder: &Path) -> Result<Option<File>, Error> {
    let path = folder.join("status");
    let file = match File::options().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::io("open", &path))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::ServerRuns {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
    }
}

/// Folders of tables that note tokens.
fn tables(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut tables = Vec::new();
    for prefix in folders_in(store)? {
        tables.extend(folders_in(&prefix)?);
    }
    tables.retain(|table| table.join("deduplication_logs").is_dir());
    Ok(tables)
}

fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut folders = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    folders.retain(|path| path.is_dir());
    Ok(folders)
}

/// The highest number of a part of `table`, which lies below `folder`, on any of the disks; `None` without any.
/// A disk that cannot be read is an error: tokens of its parts must not be forgotten.
fn highest_part(disks: &[PathBuf], folder: &Path, table: &Path) -> io::Result<Option<u64>> {
    let below = table.strip_prefix(folder).unwrap_or(table);
    let mut highest = None;
    for disk in disks {
        let parts = folders_in(&disk.join(below))?;
        let names = parts.iter().filter_map(|part| part.file_name()?.to_str());
        highest = highest.max(names.filter_map(last_block).max());
    }
    Ok(highest)
}

/// The last block in a part of this name, `PARTITION_FIRST_LAST_LEVEL[_MUTATION]`; `None` for names of
/// anything else, such as parts that are being written.
fn last_block(name: &str) -> Option<u64> {
    let fields: Vec<_> = name.split('_').collect();
    let [_, numbers @ ..] = fields.as_slice() else {
        return None;
    };
    let are_numbers = numbers.iter().all(|number| number.parse::<u64>().is_ok());
    if !are_numbers || !(3..=4).contains(&numbers.len()) {
        return None;
    }
    numbers[1].parse().ok()
}

/// Has one table forget the tokens of parts above `highest`.
fn forget(table: &Path, highest: Option<u64>) -> io::Result<usize> {
    let logs = logs(table)?;
    let mut lost: Vec<(String, String)> = Vec::new();
    for log in &logs {
        for line in BufReader::new(File::open(log)?).lines() {
            let line = line?;
            let fields: Vec<_> = line.split('\t').collect();
            let &[operation, part, token] = fields.as_slice() else {
                continue;
            };
            if operation == ADDS && last_block(part) > highest {
                lost.push((part.to_owned(), token.to_owned()));
            } else if operation == DROPS {
                lost.retain(|(_, lost)| lost != token);
            }
        }
    }
    if let Some(newest) = logs.last().filter(|_| !lost.is_empty()) {
        append(newest, &lost)?;
    }
    Ok(lost.len())
}

/// The table's logs in the order in which they are replayed.
fn logs(table: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(table.join("deduplication_logs"))? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let number = stem.and_then(|stem| stem.strip_prefix("deduplication_log_"));
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            logs.push((number, path));
        }
    }
    logs.sort();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

/// Appends lines that drop `lost`, behind the last whole line: ClickHouse reads no further than to one that
/// is cut.
fn append(log: &Path, lost: &[(String, String)]) -> io::Result<()> {
    let content = fs::read(log)?;
    let whole = content.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |end| end + 1);
    let lines: String = lost
        .iter()
        .map(|(part, token)| format!("{DROPS}\t{part}\t{token}\n"))
        .collect();
    let mut file = File::options().append(true).open(log)?;
    file.set_len(whole as u64)?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "store/abc/abcdef/deduplication_logs/deduplication_log_";

    /// A folder with one table that holds `parts` and has these logs.
    fn server(parts: &[&str], logs: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in parts {
            fs::create_dir_all(folder.path().join("store/abc/abcdef").join(part)).unwrap();
        }
        let path = folder.path().join(LOG);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (number, log) in logs.iter().enumerate() {
            // Two digits from the second on: replayed by number, not by name.
            fs::write(log_path(folder.path(), 9 + number), log).unwrap();
        }
        folder
    }

    fn log_path(folder: &Path, number: usize) -> PathBuf {
        folder.join(format!("{LOG}{number}.txt"))
    }

    fn forget_in(folder: &tempfile::TempDir) -> usize {
        forget_lost_tokens(&[folder.path().to_owned()]).unwrap()
    }

    /// Scenario: a table whose newest token has no part; parts were merged, others are half-written or
    /// detached, and an older log precedes.
    /// Guarantee: that token is forgotten, once, and no other line is touched.
    #[test]
    fn a_token_without_its_part_is_forgotten() {
        let folder = server(
            &[
                "all_1_3_1",
                "all_4_4_0_5",
                "tmp_insert_all_7_7_0",
                "detached/all_6_6_0",
            ],
            &[
                "1\tall_1_1_0\tx1\n1\tall_3_3_0\tx3\n",
                "1\tall_4_4_0\tx4\n1\tall_6_6_0\tx6\n",
            ],
        );
        assert_eq!(forget_in(&folder), 1);
        let newest = || fs::read_to_string(log_path(folder.path(), 10)).unwrap();
        let mended = "1\tall_4_4_0\tx4\n1\tall_6_6_0\tx6\n2\tall_6_6_0\tx6\n";
        assert_eq!(newest(), mended);
        assert_eq!(forget_in(&folder), 0);
        assert_eq!(newest(), mended);
    }

    /// Scenario: the token without a part is the last line of a log behind which the next has just begun;
    /// another time what follows it is cut.
    /// Guarantee: the line that drops it is the newest log's last, and whole.
    #[test]
    fn the_line_that_forgets_is_read() {
        for (newest, mended) in [
            ("", "2\t20260101_1_1_0\tx\n"),
            ("1\tall_2", "2\t20260101_1_1_0\tx\n"),
        ] {
            let folder = server(&[], &["1\t20260101_1_1_0\tx\n", newest]);
            assert_eq!(forget_in(&folder), 1);
            assert_eq!(
                fs::read_to_string(log_path(folder.path(), 10)).unwrap(),
                mended
            );
        }
    }

    /// Scenario: a server with two disks has the part on the other one.
    /// Guarantee: its token is kept.
    #[test]
    fn parts_on_other_disks_count() {
        let folder = server(&[], &["1\tall_1_1_0\tx\n"]);
        let other = tempfile::tempdir().unwrap();
        fs::create_dir_all(other.path().join("store/abc/abcdef/all_1_1_0")).unwrap();
        let disks = [folder.path().to_owned(), other.path().to_owned()];
        assert_eq!(forget_lost_tokens(&disks).unwrap(), 0);
    }

    /// Scenario: the server runs.
    /// Guarantee: refused, with the folder named, and nothing is touched.
    #[test]
    fn a_running_server_is_left_alone() {
        let folder = server(&[], &["1\tall_1_1_0\tx\n"]);
        let status = File::create(folder.path().join("status")).unwrap();
        status.lock().unwrap();
        let refused = forget_lost_tokens(&[folder.path().to_owned()]);
        let refused = refused.err().unwrap().to_string();
        assert!(
            refused.contains(folder.path().to_str().unwrap()),
            "{refused}"
        );
        assert_eq!(
            fs::read_to_string(log_path(folder.path(), 9)).unwrap(),
            "1\tall_1_1_0\tx\n"
        );
    }
}
