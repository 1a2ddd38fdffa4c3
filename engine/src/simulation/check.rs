//! Compares what clients were told with what is stored.

use std::collections::BTreeMap;

use spanmill_schema::TableId;

use super::clickhouse::Store;
use super::ledger::{Ledger, Outcome};
use crate::decode::Signal;

/// Appends what is wrong to `faults`. Gives the number of requests that are stored, though nobody was told.
pub(super) fn compare(ledger: &Ledger, store: &Store, faults: &mut Vec<String>) -> usize {
    let ledger = ledger.borrow();
    let mut unacknowledged = 0;
    let mut known = 0;
    for (number, request) in ledger.requests.iter().enumerate() {
        let table = match request.signal {
            Signal::Traces => TableId::Traces,
            Signal::Logs => TableId::Logs,
            Signal::Metrics => TableId::Metrics,
        };
        let acknowledged = request.outcome == Outcome::Acknowledged;
        if let Outcome::Odd(answer) = &request.outcome {
            faults.push(format!("request {number} was answered oddly: {answer}"));
        }
        // Each partition's rows travel in an INSERT of their own.
        let mut partitions: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        for (row, partition) in &request.rows {
            let stored = store.rows.get(row);
            let times = stored.map_or(0, |stored| stored.times);
            known += usize::from(times > 0);
            let (present, all) = partitions.entry(*partition).or_default();
            *all += 1;
            *present += usize::from(times > 0);
            if times > 1 {
                faults.push(format!(
                    "row {row} of request {number} is stored {times} times"
                ));
            }
            if acknowledged && times == 0 {
                faults.push(format!(
                    "row {row} of request {number} was acknowledged and is not stored"
                ));
            }
            if let Some(stored) = stored
                && (stored.partition != *partition || stored.table != table)
            {
                faults.push(format!(
                    "row {row} of request {number} is in the wrong place"
                ));
            }
        }
        for (partition, (present, all)) in &partitions {
            if *present != 0 && present != all {
                faults.push(format!(
                    "request {number} is torn: {present} of {all} rows of partition {partition}"
                ));
            }
        }
        let stored = partitions.values().any(|(present, _)| *present > 0);
        unacknowledged += usize::from(stored && !acknowledged);
    }
    if known != store.rows.len() {
        faults.push(format!(
            "{} rows are stored that nobody sent",
            store.rows.len() - known
        ));
    }
    unacknowledged
}
