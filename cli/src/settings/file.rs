//! Takes the text of a settings file (YAML, one flat map) and hands out its settings with their
//! lines. Unknown keys, empty values and nesting are problems; the file is never written.

use std::collections::BTreeMap;
use std::path::Path;

use serde_saphyr::Spanned;

use super::nearest::nearest;
use super::problem::{Given, Problem, Source};
use super::table::{self, Setting};

/// Reads the file at `path`; problems are added for all that cannot be used.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Vec<(&'static Setting, Given)> {
    match std::fs::read_to_string(path) {
        Ok(text) => settings_in(path, &text, problems),
        Err(error) => {
            let reason = format!("the settings file cannot be read: {error}");
            problems.push(Problem::File {
                place: path.display().to_string(),
                reason,
            });
            Vec::new()
        }
    }
}

fn settings_in(
    path: &Path,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Vec<(&'static Setting, Given)> {
    let keys = match parse(text) {
        Ok(keys) => keys,
        Err(error) => {
            problems.push(not_a_map(path, &error));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (key, value) in keys {
        let source = Source::File {
            path: path.to_owned(),
            line: value.referenced.line(),
        };
        // A file cannot name another file.
        let setting = table::find(&key).filter(|setting| setting.key != table::CONFIG.key);
        match (setting, value.value) {
            (None, _) => problems.push(Problem::Unknown {
                source_name: format!("{source}: {key}"),
                nearest: nearest(&key, table::ALL.into_iter().map(|s| s.key.to_owned())),
            }),
            (Some(setting), Some(text)) => found.push((setting, Given { text, source })),
            (Some(setting), None) => {
                let given = Given {
                    text: String::new(),
                    source,
                };
                problems.push(Problem::bad_value(setting, &given, "the value is missing"));
            }
        }
    }
    found
}

type Keys = BTreeMap<String, Spanned<Option<String>>>;

fn parse(text: &str) -> Result<Keys, serde_saphyr::Error> {
    let mut options = serde_saphyr::Options::default();
    // A snippet of the file could show a password.
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options)
}

fn not_a_map(path: &Path, error: &serde_saphyr::Error) -> Problem {
    let place = match error.location() {
        Some(location) => format!("{}:{}", path.display(), location.line()),
        None => path.display().to_string(),
    };
    Problem::File {
        place,
        reason: format!("{error}; the file is YAML of `key: value` lines, no lists or nesting"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(&'static str, String, String)>, Vec<String>) {
        let mut problems = Vec::new();
        let found = settings_in(Path::new("s.yaml"), text, &mut problems);
        let found = found
            .into_iter()
            .map(|(s, g)| (s.key, g.text, g.source.to_string()));
        (
            found.collect(),
            problems.iter().map(ToString::to_string).collect(),
        )
    }

    /// Scenario: numbers, times and quoted text in a file with comments. Guarantees: each value
    /// arrives as it was written, with its own line.
    #[test]
    fn values_keep_their_text_and_line() {
        let (found, problems) = read(
            "# mine\nshards: 4\n\nbatch_age: 50ms # quick\n\
                                      clickhouse_password: \" 007 \"\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let expected = [
            ("batch_age", "50ms", "s.yaml:4"),
            ("clickhouse_password", " 007 ", "s.yaml:5"),
            ("shards", "4", "s.yaml:2"),
        ];
        assert_eq!(
            found,
            expected.map(|(k, t, s)| (k, t.to_owned(), s.to_owned()))
        );
    }

    /// Scenario: three bad lines among good ones. Guarantees: each is reported with file, line
    /// and key, in one go, and the nearest real key is offered.
    #[test]
    fn every_bad_key_is_reported() {
        let (found, problems) = read("batch-rows: 5\nshards:\nconfig: other.yaml\nadmin: x\n");
        assert_eq!(found.len(), 1);
        assert_eq!(problems.len(), 3, "{problems:?}");
        let has = |text: &str| assert!(problems.iter().any(|p| p.contains(text)), "{problems:?}");
        has("s.yaml:1: batch-rows: no such setting (did you mean batch_rows?)");
        has("shards = \"\" (s.yaml:2): the value is missing");
        has("s.yaml:3: config: no such setting");
    }

    /// Scenario: the file is a list, nests, repeats a key or is no YAML. Guarantees: one problem
    /// that names file and line, and never the file's text, which may hold a password.
    #[test]
    fn shapes_other_than_a_flat_map_are_refused() {
        for (text, place) in [
            ("- shards\n", "s.yaml:1"),
            ("otlp:\n  grpc: s3cret\n", "s.yaml:2"),
            ("shards: 1\nshards: 2\n", "s.yaml:2"),
            ("clickhouse_password: 's3cret", "s.yaml:1"),
            ("shards: 1\n---\nadmin: s3cret\n", "s.yaml:3"),
        ] {
            let (found, problems) = read(text);
            assert!(
                found.is_empty() && problems.len() == 1,
                "{text:?} {problems:?}"
            );
            assert!(problems[0].starts_with(place), "{text:?} {problems:?}");
            assert!(!problems[0].contains("s3cret"), "{problems:?}");
        }
    }

    /// Scenario: an empty file, or only comments. Guarantees: it is valid and gives nothing.
    #[test]
    fn an_empty_file_gives_nothing() {
        assert_eq!(read(""), (vec![], vec![]));
        assert_eq!(read("# nothing yet\n"), (vec![], vec![]));
    }
}
