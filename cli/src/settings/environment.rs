//! Takes the process's variables and hands out those that are settings. A `SPANMILL_*` variable
//! that nobody reads is a problem, so that a typing error cannot go unseen.

use std::ffi::{OsStr, OsString};

use super::nearest::nearest;
use super::problem::{Given, Problem, Source};
use super::table::{self, Setting};

/// Read by other parts of Spanmill and by its tests: where libchdb lies, which binary to run.
const READ_ELSEWHERE: [&str; 2] = ["SPANMILL_LIBCHDB", "SPANMILL_BIN"];

/// The settings among `variables`; problems are added for unknown and unreadable ones.
pub(super) fn settings_in(
    variables: &[(OsString, OsString)],
    problems: &mut Vec<Problem>,
) -> Vec<(&'static Setting, Given)> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with("SPANMILL_")) else {
            continue;
        };
        if READ_ELSEWHERE.contains(&name) || is_service_link(name, value) {
            continue;
        }
        let Some(setting) = table::ALL
            .into_iter()
            .find(|setting| setting.variable() == name)
        else {
            let names = table::ALL.into_iter().map(Setting::variable);
            problems.push(Problem::Unknown {
                source_name: name.to_owned(),
                nearest: nearest(name, names),
            });
            continue;
        };
        let source = Source::Variable(name.to_owned());
        match value.to_str() {
            Some(text) => found.push((
                setting,
                Given {
                    text: text.to_owned(),
                    source,
                },
            )),
            None => {
                let text = value.to_string_lossy().into_owned();
                problems.push(Problem::bad_value(
                    setting,
                    &Given { text, source },
                    "not UTF-8",
                ));
            }
        }
    }
    found
}

/// Kubernetes puts variables named after every Service of the namespace into each container: a
/// Service called `spanmill` brings `SPANMILL_SERVICE_HOST`, `SPANMILL_PORT=tcp://...` and
/// `SPANMILL_PORT_4317_TCP_ADDR`. Nobody wrote those as settings.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let is_url = value.to_str().is_some_and(|value| {
        value.starts_with("tcp://") || value.starts_with("udp://") || value.starts_with("sctp://")
    });
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && is_url)
        || name.split_once("_PORT_").is_some_and(|(_, rest)| {
            rest.split('_')
                .next()
                .is_some_and(|port| port.parse::<u16>().is_ok())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> (usize, Vec<String>) {
        let mut problems = Vec::new();
        let found = settings_in(&[(name.into(), value.into())], &mut problems);
        (
            found.len(),
            problems.iter().map(ToString::to_string).collect(),
        )
    }

    /// Scenario: a variable of ours is misspelt. Guarantees: it is refused by name, with the
    /// nearest real one.
    #[test]
    fn unknown_variable_is_named() {
        let (found, problems) = read("SPANMILL_SHARD", "2");
        assert_eq!(found, 0);
        assert!(
            problems[0].contains("SPANMILL_SHARD: no such setting"),
            "{problems:?}"
        );
        assert!(
            problems[0].contains("did you mean SPANMILL_SHARDS?"),
            "{problems:?}"
        );
    }

    /// Scenario: the pod runs beside a Service named `spanmill`. Guarantees: the variables that
    /// Kubernetes adds for it stop nothing, while our own `_PORT` settings are still read.
    #[test]
    fn kubernetes_service_links_are_not_settings() {
        for (name, value) in [
            ("SPANMILL_SERVICE_HOST", "10.0.0.1"),
            ("SPANMILL_SERVICE_PORT", "4317"),
            ("SPANMILL_SERVICE_PORT_OTLP_GRPC", "4317"),
            ("SPANMILL_PORT", "tcp://10.0.0.1:4317"),
            ("SPANMILL_HTTP_PORT", "tcp://10.0.0.1:4318"),
            ("SPANMILL_PORT_4317_TCP", "tcp://10.0.0.1:4317"),
            ("SPANMILL_PORT_4317_TCP_PROTO", "tcp"),
        ] {
            assert_eq!(read(name, value), (0, vec![]), "{name}");
        }
        assert_eq!(read("SPANMILL_HTTP_PORT", "8124"), (1, vec![]));
        assert_eq!(read("SPANMILL_PORT", "8124").1.len(), 1);
    }

    /// Scenario: variables that other parts read, and variables of other programs. Guarantees:
    /// they are neither settings nor problems.
    #[test]
    fn other_variables_are_left_alone() {
        assert_eq!(read("SPANMILL_LIBCHDB", "/x"), (0, vec![]));
        assert_eq!(read("SPANMILL_BIN", "/x"), (0, vec![]));
        assert_eq!(read("SPANMILLER", "x"), (0, vec![]));
        assert_eq!(read("PATH", "x"), (0, vec![]));
    }
}
