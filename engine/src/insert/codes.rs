//! ClickHouse's error codes by what they mean for inserts, with the names that ClickHouse gives them. What
//! is not here is `FailureKind::Other`.

use super::failure::FailureKind;

/// Codes and names of each kind. That the names are right is tested against ClickHouse itself.
pub(super) const CODES: &[(FailureKind, &[(i32, &str)])] = &[
    (FailureKind::TooManyParts, &[(252, "TOO_MANY_PARTS")]),
    (
        FailureKind::ReadOnly,
        &[
            (164, "READONLY"),
            (242, "TABLE_IS_READ_ONLY"),
            (774, "TABLE_IS_PERMANENTLY_READ_ONLY"),
        ],
    ),
    (
        FailureKind::MemoryLimit,
        &[
            (173, "CANNOT_ALLOCATE_MEMORY"),
            (241, "MEMORY_LIMIT_EXCEEDED"),
            (777, "MEMORY_RESERVATION_KILLED"),
            (778, "MEMORY_RESERVATION_FAILED"),
        ],
    ),
    (
        FailureKind::Overloaded,
        &[
            (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
            (203, "NO_FREE_CONNECTION"),
            (364, "RECEIVED_ERROR_TOO_MANY_REQUESTS"),
            (439, "CANNOT_SCHEDULE_TASK"),
            (700, "USER_SESSION_LIMIT_EXCEEDED"),
            (745, "SERVER_OVERLOADED"),
            (749, "TCP_CONNECTION_LIMIT_REACHED"),
            (776, "RESOURCE_LIMIT_EXCEEDED"),
        ],
    ),
    (FailureKind::Quota, &[(201, "QUOTA_EXCEEDED")]),
    (
        FailureKind::Disk,
        &[
            (24, "CANNOT_WRITE_TO_OSTREAM"),
            (75, "CANNOT_WRITE_TO_FILE_DESCRIPTOR"),
            (76, "CANNOT_OPEN_FILE"),
            (172, "CANNOT_CREATE_DIRECTORY"),
            (204, "CANNOT_FSYNC"),
            (214, "CANNOT_STATVFS"),
            (243, "NOT_ENOUGH_SPACE"),
            (294, "CANNOT_WRITE_TO_FILE"),
            (499, "S3_ERROR"),
            (500, "AZURE_BLOB_STORAGE_ERROR"),
            (586, "CANNOT_CREATE_FILE"),
        ],
    ),
    (
        FailureKind::Timeout,
        &[
            (159, "TIMEOUT_EXCEEDED"),
            (160, "TOO_SLOW"),
            (209, "SOCKET_TIMEOUT"),
        ],
    ),
    (
        FailureKind::Network,
        &[
            (95, "CANNOT_READ_FROM_SOCKET"),
            (96, "CANNOT_WRITE_TO_SOCKET"),
            (198, "DNS_ERROR"),
            (210, "NETWORK_ERROR"),
            (279, "ALL_CONNECTION_TRIES_FAILED"),
        ],
    ),
    (
        FailureKind::Keeper,
        &[
            (225, "NO_ZOOKEEPER"),
            (244, "UNEXPECTED_ZOOKEEPER_ERROR"),
            (254, "NO_ACTIVE_REPLICAS"),
            (285, "TOO_FEW_LIVE_REPLICAS"),
            (286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE"),
            (289, "REPLICA_IS_NOT_IN_QUORUM"),
            (319, "UNKNOWN_STATUS_OF_INSERT"),
            (416, "REPLICA_STATUS_CHANGED"),
            (568, "RAFT_ERROR"),
            (999, "KEEPER_EXCEPTION"),
        ],
    ),
    (
        FailureKind::Cancelled,
        &[
            (236, "ABORTED"),
            (394, "QUERY_WAS_CANCELLED"),
            (677, "THREAD_WAS_CANCELED"),
            (733, "TABLE_IS_BEING_RESTARTED"),
            (735, "QUERY_WAS_CANCELLED_BY_CLIENT"),
        ],
    ),
    (
        FailureKind::Access,
        &[
            (192, "UNKNOWN_USER"),
            (193, "WRONG_PASSWORD"),
            (194, "REQUIRED_PASSWORD"),
            (195, "IP_ADDRESS_NOT_ALLOWED"),
            (291, "DATABASE_ACCESS_DENIED"),
            (497, "ACCESS_DENIED"),
            (516, "AUTHENTICATION_FAILED"),
            (720, "USER_EXPIRED"),
            (763, "SESSION_REFUSED"),
            (767, "REQUIRED_SECOND_FACTOR"),
        ],
    ),
    (
        FailureKind::Settings,
        &[
            (115, "UNKNOWN_SETTING"),
            (452, "SETTING_CONSTRAINT_VIOLATION"),
            (472, "READONLY_SETTING"),
        ],
    ),
    (
        FailureKind::Schema,
        &[
            (8, "THERE_IS_NO_COLUMN"),
            (10, "NOT_FOUND_COLUMN_IN_BLOCK"),
            (16, "NO_SUCH_COLUMN_IN_TABLE"),
            (20, "NUMBER_OF_COLUMNS_DOESNT_MATCH"),
            (44, "ILLEGAL_COLUMN"),
            (46, "UNKNOWN_FUNCTION"),
            (47, "UNKNOWN_IDENTIFIER"),
            (50, "UNKNOWN_TYPE"),
            (53, "TYPE_MISMATCH"),
            (60, "UNKNOWN_TABLE"),
            (70, "CANNOT_CONVERT_TYPE"),
            (81, "UNKNOWN_DATABASE"),
            (122, "INCOMPATIBLE_COLUMNS"),
            (218, "TABLE_IS_DROPPED"),
            (342, "METADATA_MISMATCH"),
            (386, "NO_COMMON_TYPE"),
            (741, "TABLE_UUID_MISMATCH"),
            (772, "INCOMPATIBLE_SCHEMA"),
        ],
    ),
    (
        FailureKind::Data,
        &[
            (6, "CANNOT_PARSE_TEXT"),
            (9, "SIZES_OF_COLUMNS_DOESNT_MATCH"),
            (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
            (33, "CANNOT_READ_ALL_DATA"),
            (39, "TOO_LARGE_SIZE_COMPRESSED"),
            (40, "CHECKSUM_DOESNT_MATCH"),
            (89, "UNKNOWN_COMPRESSION_METHOD"),
            (117, "INCORRECT_DATA"),
            (128, "TOO_LARGE_ARRAY_SIZE"),
            (131, "TOO_LARGE_STRING_SIZE"),
            (190, "SIZES_OF_ARRAYS_DONT_MATCH"),
            (246, "CORRUPTED_DATA"),
            (261, "UNKNOWN_BLOCK_INFO_FIELD"),
            (271, "CANNOT_DECOMPRESS"),
            (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"),
            (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"),
            (432, "UNKNOWN_CODEC"),
            (469, "VIOLATED_CONSTRAINT"),
            (561, "ZSTD_DECODER_FAILED"),
            (618, "LZ4_DECODER_FAILED"),
        ],
    ),
    (
        FailureKind::Protocol,
        &[
            (99, "UNKNOWN_PACKET_FROM_CLIENT"),
            (101, "UNEXPECTED_PACKET_FROM_CLIENT"),
            (217, "CLIENT_HAS_CONNECTED_TO_WRONG_PORT"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use spanmill_embedded::testing::start_private;

    use super::CODES;

    /// Scenario: ClickHouse is asked for the name of every code here.
    /// Guarantee: each is what it is taken for, and stands here once.
    #[test]
    fn codes_are_named_as_clickhouse_names_them() {
        let all: Vec<_> = CODES.iter().flat_map(|(_, codes)| *codes).collect();
        let once: HashSet<_> = all.iter().map(|(code, _)| code).collect();
        assert_eq!(once.len(), all.len());
        let asked: Vec<_> = all.iter().map(|(code, _)| code.to_string()).collect();
        let asked = asked.join(", ");
        let sql = format!("SELECT errorCodeToName(arrayJoin([{asked}]))");
        let answer = start_private().query(&sql).expect("names");
        let names: Vec<_> = answer.lines().collect();
        assert_eq!(names, all.iter().map(|(_, name)| *name).collect::<Vec<_>>());
    }
}
