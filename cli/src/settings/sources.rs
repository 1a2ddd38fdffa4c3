//! First stage: takes flags, variables and the file, and hands out one text per setting with
//! where it came from. It understands no value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::problem::{Given, Problem, Source};
use super::table::{self, Default, Setting};
use super::{environment, file};

/// The text of every setting that was given or has a fixed default.
#[derive(Debug)]
pub(super) struct Raw {
    given: BTreeMap<&'static str, Given>,
    /// Used where no folder for data was given.
    pub data_home: Option<PathBuf>,
}

impl Raw {
    /// The winning text of this setting, unless nobody gave one and the default is not a text.
    pub(super) fn get(&self, setting: &Setting) -> Option<&Given> {
        self.given.get(setting.key)
    }

    /// Whether somebody gave this setting.
    pub(super) fn is_given(&self, setting: &Setting) -> bool {
        self.get(setting)
            .is_some_and(|given| given.source != Source::Default)
    }
}

/// Flags win over variables, variables over the file, the file over defaults.
pub(super) fn gather(
    flags: Vec<(&'static Setting, String)>,
    variables: &[(OsString, OsString)],
    problems: &mut Vec<Problem>,
) -> Raw {
    let mut given = defaults();
    let from_variables = environment::settings_in(variables, problems);
    let from_flags: Vec<_> = flags
        .into_iter()
        .map(|(setting, text)| {
            (
                setting,
                Given {
                    text,
                    source: Source::Flag(setting.flag()),
                },
            )
        })
        .collect();
    let config = from_flags
        .iter()
        .chain(&from_variables)
        .find(|(s, _)| s.key == table::CONFIG.key);
    let from_file = match config {
        Some((_, config)) => file::read(Path::new(&config.text), problems),
        None => Vec::new(),
    };
    for (setting, value) in from_file
        .into_iter()
        .chain(from_variables)
        .chain(from_flags)
    {
        given.insert(setting.key, value);
    }
    Raw {
        given,
        data_home: data_home(variables),
    }
}

fn defaults() -> BTreeMap<&'static str, Given> {
    let fixed = table::ALL
        .into_iter()
        .filter_map(|setting| match setting.default {
            Default::Text(text) => Some((
                setting.key,
                Given {
                    text: text.to_owned(),
                    source: Source::Default,
                },
            )),
            Default::Found(_) => None,
        });
    fixed.collect()
}

/// Where the XDG rules put a user's data: a relative `XDG_DATA_HOME` counts as not set.
fn data_home(variables: &[(OsString, OsString)]) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let found = variables.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| PathBuf::from(value))
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))
}
