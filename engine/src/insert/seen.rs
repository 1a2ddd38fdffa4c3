//! Asks ClickHouse how many inserts each table has seen, and of how many the tokens are remembered. When more
//! came since a batch was first sent, its token says nothing any more.

use spanmill_schema::{DATABASE, TableId};

use super::batch::InsertsSeen;

/// What ClickHouse answered; nothing when it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) inserts: InsertsSeen,
    /// Of how many inserts any table remembers the tokens at least.
    remembered: u64,
}

/// Share of the remembered inserts, in percent, past which a token is not trusted: what is sent while the
/// question is answered, and inserts of views that are cut into more parts than those of their table.
const TRUSTED_PERCENT: u64 = 90;

/// The question: a text such as `(1,2,3,4,5,200000)`. Parts are numbered as they are inserted: in a table of
/// one server over all partitions, in a replicated one in each.
pub(super) fn question() -> String {
    let of = |table: TableId| format!("sumIf(seen, table = '{}')", table.name());
    let tables: Vec<_> = TableId::ALL.into_iter().map(of).collect();
    // The targets of views remember as many as their tables, or none.
    let remembered = format!(
        "(SELECT min(toUInt64OrZero(extract(create_table_query, \
         'replicated_deduplication_window = (\\\\d+)'))) FROM system.tables \
         WHERE database = '{DATABASE}' AND name IN ({}))",
        TableId::ALL
            .map(|table| format!("'{}'", table.name()))
            .join(", ")
    );
    format!(
        "SELECT toString(tuple({}, {remembered})) FROM (SELECT table, \
         if(startsWith(engine, 'Replicated'), sum(last), max(last)) AS seen FROM \
         (SELECT table, engine, partition_id, max(max_block_number) AS last FROM system.parts \
         WHERE database = '{DATABASE}' GROUP BY table, engine, partition_id) GROUP BY table, engine)",
        tables.join(", ")
    )
}

/// Reads the answer; `None` when it is not what was asked for.
pub(super) fn answer(text: &str) -> Option<Seen> {
    let numbers = text.strip_prefix('(')?.strip_suffix(')')?;
    let numbers: Option<Vec<u64>> = numbers
        .split(',')
        .map(|number| number.parse().ok())
        .collect();
    let mut inserts = numbers?;
    let remembered = inserts.pop()?;
    Some(Seen {
        inserts: Some(inserts.try_into().ok()?),
        remembered,
    })
}

/// Whether so many inserts came since `before` that a table may have forgotten a token of that time. Not known
/// means no: then there is nothing better than the token.
pub(super) fn outran(before: InsertsSeen, now: Seen) -> bool {
    let trusted = u128::from(now.remembered) * u128::from(TRUSTED_PERCENT) / 100;
    let (Some(before), Some(now)) = (before, now.inserts) else {
        return false;
    };
    // Fewer than before: the newest parts are gone, and with them what could be counted.
    let since = |(before, now): (u64, u64)| now.checked_sub(before);
    let mut tables = before.into_iter().zip(now).map(since);
    tables.any(|inserts| inserts.is_none_or(|inserts| u128::from(inserts) >= trusted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: answers as ClickHouse gives them, and others.
    /// Guarantee: six numbers are read, and nothing else is.
    #[test]
    fn an_answer_is_six_numbers() {
        let seen = Seen {
            inserts: Some([1, 2, 3, 4, u64::MAX]),
            remembered: 6,
        };
        assert_eq!(answer("(1,2,3,4,18446744073709551615,6)"), Some(seen));
        for other in [
            "",
            "()",
            "(1,2,3,4,5)",
            "(1,2,3,4,5,6,7)",
            "(1,2,3,4,-5,6)",
            "1,2,3,4,5,6",
        ] {
            assert_eq!(answer(other), None, "{other}");
        }
    }

    /// Scenario: one table has seen as many inserts as are remembered since a batch was first sent, or fewer
    /// than then; another time nothing is known, or no token is remembered at all.
    /// Guarantee: the token is trusted only while it is surely remembered; without knowledge it is.
    #[test]
    fn a_token_is_trusted_while_it_is_remembered() {
        let before = Some([7, 0, 100, 0, 0]);
        let now = |total, remembered| Seen {
            inserts: Some([7, 0, total, 0, 0]),
            remembered,
        };
        assert!(!outran(before, now(100, 1000)));
        assert!(!outran(before, now(600, 1000)));
        assert!(outran(before, now(1100, 1000)));
        assert!(!outran(before, now(1100, u64::MAX)));
        assert!(outran(before, now(99, 1000)));
        assert!(outran(before, now(100, 0)));
        assert!(!outran(None, now(u64::MAX, 1000)));
        assert!(!outran(before, Seen::default()));
    }
}
