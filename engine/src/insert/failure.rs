//! What kind a failure is, and what follows from that: how soon to try again, whether another endpoint may
//! do better, and what an operator should do about it. It decides; it neither waits nor counts.

use super::codes::CODES;
use super::error::InsertError;
use crate::limits::{PACE_SLOW, PACE_SOON, PACE_THROTTLED, Pace};

/// Kinds of failure, as `/metrics` counts them and `/readyz` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection, or it broke.
    Network,
    /// No answer in time, or ClickHouse's own time limit.
    Timeout,
    /// More parts than merges can keep up with.
    TooManyParts,
    /// Of the table, the replica or the account.
    ReadOnly,
    /// Of the query or the server.
    MemoryLimit,
    /// Too many queries or connections.
    Overloaded,
    /// The account's quota is used up.
    Quota,
    /// The disk or object store is full or fails.
    Disk,
    /// Keeper, or the quorum of replicas.
    Keeper,
    /// The server stops, or somebody killed the query.
    Cancelled,
    /// Unknown user, wrong password, missing grant.
    Access,
    /// The account may not use the settings that an insert carries.
    Settings,
    /// A table or column is missing or of another type.
    Schema,
    /// ClickHouse says that these bytes are bad.
    Data,
    /// The server's protocol is older than what is spoken here.
    TooOld,
    /// The answer, or the packet that was answered, was not understood.
    Protocol,
    /// Any other exception.
    Other,
}

/// What a kind entails.
struct About {
    label: &'static str,
    /// Goes on from "ClickHouse at HOST:PORT ".
    state: &'static str,
    advice: &'static str,
    pace: Pace,
    /// Whether it is about one server, so that another replica may do better.
    of_endpoint: bool,
}

impl FailureKind {
    /// Every kind, in the order of their numbers.
    pub(crate) const ALL: [FailureKind; 17] = [
        FailureKind::Network,
        FailureKind::Timeout,
        FailureKind::TooManyParts,
        FailureKind::ReadOnly,
        FailureKind::MemoryLimit,
        FailureKind::Overloaded,
        FailureKind::Quota,
        FailureKind::Disk,
        FailureKind::Keeper,
        FailureKind::Cancelled,
        FailureKind::Access,
        FailureKind::Settings,
        FailureKind::Schema,
        FailureKind::Data,
        FailureKind::TooOld,
        FailureKind::Protocol,
        FailureKind::Other,
    ];

    /// The kind of an exception, by ClickHouse's number for it.
    pub(crate) fn of_code(code: i32) -> FailureKind {
        let has = |codes: &[(i32, &str)]| codes.iter().any(|(known, _)| *known == code);
        let kind = CODES.iter().find(|(_, codes)| has(codes));
        kind.map_or(FailureKind::Other, |(kind, _)| *kind)
    }

    /// Its name in metrics.
    pub(crate) fn label(self) -> &'static str {
        self.about().label
    }

    /// What ClickHouse is like, as it goes on from "ClickHouse at HOST:PORT ".
    pub(crate) fn state(self) -> &'static str {
        self.about().state
    }

    /// What an operator should do.
    pub(crate) fn advice(self) -> &'static str {
        self.about().advice
    }

    /// How soon to try again.
    pub(crate) fn pace(self) -> Pace {
        self.about().pace
    }

    /// Whether another replica may do better. If not, the endpoint itself is held to be well.
    pub(crate) fn is_of_endpoint(self) -> bool {
        self.about().of_endpoint
    }

    /// Whether it is the batch that is bad, so that no time and no endpoint will help.
    pub(crate) fn is_of_batch(self) -> bool {
        self == FailureKind::Data
    }

    fn about(self) -> About {
        let about = |label, state, advice| About {
            label,
            state,
            advice,
            pace: PACE_SOON,
            of_endpoint: true,
        };
        let slow = |about| About {
            pace: PACE_SLOW,
            ..about
        };
        match self {
            FailureKind::Network => about(
                "network",
                "is not reachable",
                "check that it runs, and that the address is its native port (usually 9000)",
            ),
            FailureKind::Timeout => about(
                "timeout",
                "does not answer in time",
                "look at its load and disks; if inserts are only slow, raise insert_timeout",
            ),
            FailureKind::TooManyParts => About {
                pace: PACE_THROTTLED,
                of_endpoint: false,
                ..about(
                    "too_many_parts",
                    "has too many parts",
                    "merges lag behind inserts: look at system.merges and the disk's load, and raise \
                     batch_age and batch_rows",
                )
            },
            FailureKind::ReadOnly => about(
                "read_only",
                "is read-only",
                "see which it is: a replica that lost Keeper, a table with the setting \
                 table_readonly, or an account whose profile says readonly",
            ),
            FailureKind::MemoryLimit => about(
                "memory_limit",
                "is out of memory",
                "look for large queries in system.processes; raise the limit that the message names, \
                 or lower batch_rows_max",
            ),
            FailureKind::Overloaded => about(
                "overloaded",
                "has too much to do",
                "look at system.processes; raise max_concurrent_queries or max_connections, or use \
                 fewer shards",
            ),
            FailureKind::Quota => slow(about(
                "quota",
                "has no quota left for the account",
                "give the account a larger quota, or none",
            )),
            FailureKind::Disk => slow(about(
                "disk",
                "cannot write to its disk",
                "free or add space (system.disks), or shorten retention_raw and run `spanmill \
                 migrate`; if there is space, see ClickHouse's log",
            )),
            FailureKind::Keeper => about(
                "keeper",
                "has trouble with Keeper or its replicas",
                "check that Keeper has a leader and that enough replicas run: system.replicas, \
                 system.zookeeper_connection",
            ),
            FailureKind::Cancelled => about(
                "cancelled",
                "broke the insert off",
                "nothing, if it was being stopped; otherwise see who kills queries",
            ),
            FailureKind::Access => slow(about(
                "access",
                "refuses the account",
                "check clickhouse_user and clickhouse_password, and that the account may INSERT into \
                 spanmill.*",
            )),
            FailureKind::Settings => slow(about(
                "settings",
                "refuses the settings of inserts",
                "let the account's profile change async_insert, insert_deduplicate, \
                 insert_deduplication_token, deduplicate_blocks_in_dependent_materialized_views and \
                 max_insert_threads",
            )),
            FailureKind::Schema => slow(about(
                "schema",
                "lacks a table or column, or has it with another type",
                "run `spanmill migrate` with the settings that this engine has",
            )),
            FailureKind::Data => About {
                of_endpoint: false,
                ..slow(about(
                    "data",
                    "finds the bytes of an insert bad",
                    "check this host's memory and the network in between; if both are well this is a \
                     bug, please report it with the message",
                ))
            },
            FailureKind::TooOld => slow(about(
                "too_old",
                "is too old",
                "upgrade it to 26.7 or newer",
            )),
            FailureKind::Protocol => slow(about(
                "protocol",
                "is not understood",
                "check that the address is ClickHouse's native port without TLS (usually 9000)",
            )),
            FailureKind::Other => about(
                "other",
                "refuses inserts",
                "see the message, and ClickHouse's log",
            ),
        }
    }
}

impl InsertError {
    /// What kind of failure this is.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            InsertError::Unsent(cause) => cause.kind(),
            InsertError::Io(_) | InsertError::NoAddress(_) => FailureKind::Network,
            InsertError::Server(exception) => FailureKind::of_code(exception.code),
            InsertError::Protocol(_) => FailureKind::Protocol,
            InsertError::TooOld { .. } => FailureKind::TooOld,
            InsertError::Timeout(_) | InsertError::OutOfTime => FailureKind::Timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: every kind.
    /// Guarantee: its number is its place, its label is its own, and it has something to say.
    #[test]
    fn every_kind_is_told_apart() {
        let mut labels = Vec::new();
        for (place, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert!(!kind.state().is_empty() && !kind.advice().is_empty());
            assert!(kind.pace().first <= kind.pace().most);
            labels.push(kind.label());
        }
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), FailureKind::ALL.len());
    }

    /// Scenario: a cluster with too many parts, bad bytes, and a server that is down.
    /// Guarantee: only the last makes another endpoint be tried; only bad bytes are the batch's fault.
    #[test]
    fn what_is_not_an_endpoints_fault_is_not_blamed_on_it() {
        let of_endpoint = |code| FailureKind::of_code(code).is_of_endpoint();
        assert!(!of_endpoint(252) && !of_endpoint(40) && of_endpoint(210));
        let of_batch = FailureKind::ALL.into_iter().filter(|k| k.is_of_batch());
        assert_eq!(of_batch.collect::<Vec<_>>(), [FailureKind::Data]);
    }
}
