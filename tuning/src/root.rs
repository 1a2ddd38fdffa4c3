//! Takes a folder that stands for `/` and paths below it, and hands out what the files there say, or why they
//! say nothing. Tests give it a made-up `/proc` and `/sys`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file gave no answer. Its words are the reason of an "unknown".
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error("/{0} is not there")]
    Missing(String),
    #[error("/{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("/{path} holds {text:?}, where {expected} was expected")]
    Garbled {
        path: String,
        text: String,
        expected: &'static str,
    },
}

/// Bytes of a file that are quoted when it cannot be understood.
const QUOTED_BYTES: usize = 60;

impl Unread {
    pub(crate) fn garbled(path: &str, text: &str, expected: &'static str) -> Unread {
        let text = text.trim();
        Unread::Garbled {
            path: path.to_owned(),
            text: text.chars().take(QUOTED_BYTES).collect(),
            expected,
        }
    }
}

/// A folder that stands for `/`.
#[derive(Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Root {
        Root(folder.into())
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What a file holds. Bytes that are no UTF-8 become signs that no parser takes for anything.
    pub(crate) fn text(&self, path: &str) -> Result<String, Unread> {
        match fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Unread::Missing(path.to_owned()))
            }
            Err(source) => Err(Unread::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The same, or none where there is no such file.
    pub(crate) fn text_if_there(&self, path: &str) -> Result<Option<String>, Unread> {
        match self.text(path) {
            Ok(text) => Ok(Some(text)),
            Err(Unread::Missing(_)) => Ok(None),
            Err(unread) => Err(unread),
        }
    }

    /// The whole number that a file holds.
    pub(crate) fn number(&self, path: &str) -> Result<u64, Unread> {
        let text = self.text(path)?;
        text.trim()
            .parse()
            .map_err(|_| Unread::garbled(path, &text, "a whole number"))
    }

    /// The whole numbers that a file holds, as many as `N`.
    pub(crate) fn numbers<const N: usize>(&self, path: &str) -> Result<[u64; N], Unread> {
        let text = self.text(path)?;
        let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
        numbers.ok_or_else(|| Unread::garbled(path, &text, "whole numbers"))
    }

    /// What stands behind `key` in a file of lines like `Seccomp:  2`.
    pub(crate) fn field(&self, path: &str, key: &'static str) -> Result<String, Unread> {
        let text = self.text(path)?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let value = value.map(|value| value.trim().to_owned());
        value.ok_or_else(|| Unread::garbled(path, &text, key))
    }

    /// The names in a folder, sorted; none where there is no such folder.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(folder)).into_iter().flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The last name of what a symbolic link points to.
    pub(crate) fn link_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.0.join(path)).ok()?;
        Some(Path::file_name(&target)?.to_str()?.to_owned())
    }
}
