//! The data folder of one server: who holds it, the configuration ClickHouse reads, the log it
//! writes. What ClickHouse stores lies below `db` and is never touched here once it exists.
//!
//! ```text
//! spanmill.lock   locked while a server runs; its process id
//! config.xml      written at every start
//! clickhouse.log  this run; clickhouse.log.1 is what came before
//! db/             ClickHouse's own files
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;

use crate::Error;

const LOG_LINES: usize = 15;
const CORES_MAX: usize = 16;

/// A data folder that this process holds. The lock goes to the host process with
/// [`DataFolder::share_lock`] and lasts until both have let go of it.
pub(crate) struct DataFolder {
    path: PathBuf,
    lock: File,
}

impl DataFolder {
    /// Creates the folder when it is missing and takes its lock.
    ///
    /// # Errors
    /// [`Error::DataFolderInUse`], [`Error::Io`].
    pub(crate) fn open(path: &Path) -> Result<DataFolder, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(Error::io("create the data folder", path))?;
        let path = path
            .canonicalize()
            .map_err(Error::io("find the data folder", path))?;
        let lock = take_lock(&path)?;
        let folder = DataFolder { path, lock };
        folder.prepare_database()?;
        Ok(folder)
    }

    /// Writes the number of the process that holds the folder, for others to read.
    pub(crate) fn name_holder(&mut self, pid: u32) -> Result<(), Error> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{pid}")
        };
        write(&mut self.lock).map_err(Error::io("write the lock of", &self.path))
    }

    /// The lock for a child process to inherit.
    pub(crate) fn share_lock(&self) -> Result<File, Error> {
        self.lock
            .try_clone()
            .map_err(Error::io("share the lock of", &self.path))
    }

    /// Lets go of the folder after a failed start. Merely closing the lock would not do at once: a
    /// child that another thread is starting has a copy of it until it runs its program.
    pub(crate) fn release(self) {
        let _ = self.lock.unlock();
    }

    /// Writes the configuration; `token` is what the server will answer to prove it is this one.
    pub(crate) fn write_config(&self, token: &str, query_log: bool) -> Result<PathBuf, Error> {
        let cores = thread::available_parallelism().map_or(2, |n| n.get());
        let path = self.path.join("config.xml");
        fs::write(&path, config(token, cores, query_log)).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// Opens an empty log; what the previous run wrote is kept under another name.
    pub(crate) fn start_log(&self) -> Result<File, Error> {
        rotate_log(&self.log_path())
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path.join("clickhouse.log")
    }

    /// Where ClickHouse keeps its files.
    pub(crate) fn database_path(&self) -> PathBuf {
        self.path.join("db")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Declares the `system` database before the first start. Without it a `system.*_log` table,
    /// once somebody's configuration adds one, would not be found again at the next start.
    fn prepare_database(&self) -> Result<(), Error> {
        let metadata = self.database_path().join("metadata");
        fs::create_dir_all(&metadata).map_err(Error::io("create", &metadata))?;
        let system = metadata.join("system.sql");
        if system.exists() {
            return Ok(());
        }
        let sql = "ATTACH DATABASE _ UUID '6d696c6c-7370-416e-8000-73797374656d' ENGINE = Atomic";
        fs::write(&system, sql).map_err(Error::io("write", &system))
    }
}

fn take_lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("spanmill.lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            Err(Error::DataFolderInUse {
                folder: folder.to_owned(),
                holder: holder.parse().ok(),
            })
        }
        Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
    }
}

/// Moves the log aside and opens an empty one in its place.
pub(crate) fn rotate_log(path: &Path) -> Result<File, Error> {
    if path.exists() {
        let old = path.with_extension("log.1");
        fs::rename(path, &old).map_err(Error::io("move aside the log to", &old))?;
    }
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .map_err(Error::io("open the log", path))
}

/// The last lines of the log at `path` that a person can use.
pub(crate) fn log_tail(path: &Path) -> String {
    let log = fs::read(path).unwrap_or_default();
    match last_lines(&String::from_utf8_lossy(&log), LOG_LINES) {
        tail if tail.is_empty() => format!("(nothing; the file is {})", path.display()),
        tail => tail,
    }
}

/// The last `count` lines of `text`, without empty ones and stack frames, indented.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let is_frame = |line: &str| {
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        number.len() < line.len() && number.starts_with(". ")
    };
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_frame(line));
    let mut last: Vec<String> = lines
        .rev()
        .take(count)
        .map(|line| format!("  {line}"))
        .collect();
    last.reverse();
    last.join("\n")
}

/// The server's configuration, for a machine that it shares with the rest of the product.
///
/// Half the memory is the bound; caches are bounded far below their 5 GB defaults. The merge pool
/// has two slots a core where the default is 32, so the thresholds that keep slots free for small
/// merges and mutations, in slots, shrink with it: at their defaults a small pool never has as many
/// slots free as a large merge or a mutation waits for. Merges have a third of a question's weight for the
/// kernel's scheduler, as the engine's inserts have, so both keep their share of each other. No `system.*_log`
/// table is configured, so none is written; the metric and query logs cost about 6 % of a core while idle.
fn config(token: &str, cores: usize, query_log: bool) -> String {
    let pool = cores.clamp(2, CORES_MAX);
    let query_log = match query_log {
        true => "<query_log><database>system</database><table>query_log</table></query_log>",
        false => "",
    };
    format!(
        "<!-- Written at every start; changes here are lost. -->
<clickhouse>
    <logger><console>1</console></logger>
    <macros><spanmill_instance>{token}</spanmill_instance></macros>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
    <mark_cache_size>268435456</mark_cache_size>
    <primary_index_cache_size>268435456</primary_index_cache_size>
    <index_mark_cache_size>67108864</index_mark_cache_size>
    <text_index_tokens_cache_size>67108864</text_index_tokens_cache_size>
    <text_index_header_cache_size>67108864</text_index_header_cache_size>
    <text_index_postings_cache_size>134217728</text_index_postings_cache_size>
    <vector_similarity_index_cache_size>67108864</vector_similarity_index_cache_size>
    <background_pool_size>{pool}</background_pool_size>
    <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
    <os_threads_nice_value_merge_mutate>5</os_threads_nice_value_merge_mutate>
    <merge_tree>
        <number_of_free_entries_in_pool_to_lower_max_size_of_merge>{pool}</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
        <number_of_free_entries_in_pool_to_execute_mutation>{pool}</number_of_free_entries_in_pool_to_execute_mutation>
        <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>{pool}</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    </merge_tree>
    {query_log}
</clickhouse>
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a log with an exception, its stack and blank lines. Guarantees: the lines a person
    /// can use remain, the last ones, in order.
    #[test]
    fn tail_leaves_out_stack_frames() {
        let log = "one\n\n2026.11.22 two\n0. ? @ 0x1\n12. start @ 0x2\n (version 26)\n";
        assert_eq!(last_lines(log, 2), "  2026.11.22 two\n  (version 26)");
        assert_eq!(last_lines("", 2), "");
    }

    /// Scenario: a second holder comes while the first lives, then after it let go. Guarantees: it
    /// is refused with folder and process named, and let in afterwards; a share keeps the lock.
    #[test]
    fn folder_has_one_holder() {
        let temp = tempfile::tempdir().unwrap();
        let mut first = DataFolder::open(temp.path()).unwrap();
        first.name_holder(4321).unwrap();
        let share = first.share_lock().unwrap();
        drop(first);
        let error = DataFolder::open(temp.path()).err().unwrap().to_string();
        assert!(error.contains(temp.path().to_str().unwrap()), "{error}");
        assert!(error.contains("by process 4321"), "{error}");
        share.unlock().unwrap();
        DataFolder::open(temp.path()).unwrap().release();
    }

    /// Scenario: two runs. Guarantees: the second run's log starts empty and the first's is kept.
    #[test]
    fn log_of_the_previous_run_is_kept() {
        let temp = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(temp.path()).unwrap();
        writeln!(folder.start_log().unwrap(), "first").unwrap();
        folder.start_log().unwrap();
        assert_eq!(fs::read_to_string(folder.log_path()).unwrap(), "");
        assert_eq!(
            fs::read_to_string(temp.path().join("clickhouse.log.1")).unwrap(),
            "first\n"
        );
    }
}
