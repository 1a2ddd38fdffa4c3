//! Asks ClickHouse how many inserts each table has seen. A server remembers the tokens of a number of inserts;
//! when more than that came since a batch was first sent, its token says nothing any more.

use spanmill_schema::{DATABASE, INSERTS_REMEMBERED, TableId};

use super::batch::InsertsSeen;

/// Share of the remembered inserts, in percent, past which a token is not trusted: what is sent while the
/// question is answered, and inserts of views that are cut into more parts than those of their table.
const TRUSTED_PERCENT: u64 = 90;

#[cfg(test)]
thread_local! {
    /// Stands for `INSERTS_REMEMBERED` in simulated histories, where a token can be outrun in seconds.
    pub(crate) static REMEMBERED: std::cell::Cell<u32> =
        const { std::cell::Cell::new(INSERTS_REMEMBERED) };
}

/// Inserts whose tokens a table remembers.
fn remembered() -> u64 {
    #[cfg(test)]
    return REMEMBERED.get().into();
    #[cfg(not(test))]
    INSERTS_REMEMBERED.into()
}

/// The question: a text such as `(1,2,3,4,5)`. Parts are numbered as they are inserted: in a table of one
/// server over all partitions, in a replicated one in each.
pub(super) fn question() -> String {
    let of = |table: TableId| format!("sumIf(seen, table = '{}')", table.name());
    let tables: Vec<_> = TableId::ALL.into_iter().map(of).collect();
    format!(
        "SELECT toString(tuple({})) FROM (SELECT table, \
         if(startsWith(engine, 'Replicated'), sum(last), max(last)) AS seen FROM \
         (SELECT table, engine, partition_id, max(max_block_number) AS last FROM system.parts \
         WHERE database = '{DATABASE}' GROUP BY table, engine, partition_id) GROUP BY table, engine)",
        tables.join(", ")
    )
}

/// Reads the answer; `None` when it is not what was asked for.
pub(super) fn answer(text: &str) -> InsertsSeen {
    let numbers = text.strip_prefix('(')?.strip_suffix(')')?;
    let numbers: Option<Vec<u64>> = numbers
        .split(',')
        .map(|number| number.parse().ok())
        .collect();
    numbers?.try_into().ok()
}

/// Whether so many inserts came since `before` that a table may have forgotten a token of that time. Not known
/// means no: then there is nothing better than the token.
pub(super) fn outran(before: InsertsSeen, now: InsertsSeen) -> bool {
    let trusted = remembered() * TRUSTED_PERCENT / 100;
    let (Some(before), Some(now)) = (before, now) else {
        return false;
    };
    // Fewer than before: the newest parts are gone, and with them what could be counted.
    let since = |(before, now): (u64, u64)| now.checked_sub(before);
    let mut tables = before.into_iter().zip(now).map(since);
    tables.any(|inserts| inserts.is_none_or(|inserts| inserts >= trusted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: answers as ClickHouse gives them, and others.
    /// Guarantee: five numbers are read, and nothing else is.
    #[test]
    fn an_answer_is_five_numbers() {
        assert_eq!(
            answer("(1,2,3,4,18446744073709551615)"),
            Some([1, 2, 3, 4, u64::MAX])
        );
        for other in [
            "",
            "()",
            "(1,2,3,4)",
            "(1,2,3,4,5,6)",
            "(1,2,3,4,-5)",
            "1,2,3,4,5",
        ] {
            assert_eq!(answer(other), None, "{other}");
        }
    }

    /// Scenario: one table has seen as many inserts as are remembered since a batch was first sent, or fewer
    /// than then; another time nothing is known.
    /// Guarantee: the token is trusted only while it is surely remembered; without knowledge it is.
    #[test]
    fn a_token_is_trusted_while_it_is_remembered() {
        let before = Some([7, 0, 100, 0, 0]);
        let now = |inserts| Some([7, 0, 100 + inserts, 0, 0]);
        assert!(!outran(before, before));
        assert!(!outran(before, now(u64::from(INSERTS_REMEMBERED) / 2)));
        assert!(outran(before, now(u64::from(INSERTS_REMEMBERED))));
        assert!(outran(before, Some([7, 0, 99, 0, 0])));
        assert!(!outran(None, now(u64::MAX - 100)));
        assert!(!outran(before, None));
    }
}
