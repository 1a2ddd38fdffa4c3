//! Compares what clients were told with what is stored.

use std::collections::BTreeMap;

use spanmill_schema::TableId;

use super::clickhouse::Store;
use super::engine::Engine;
use super::ledger::{Ledger, Outcome};
use crate::decode::Signal;

/// What is not wrong, and worth knowing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Compared {
    /// Requests that are stored, though nobody was told.
    pub(super) stored_unacknowledged: usize,
    /// Rows that were acknowledged in memory and lost with it.
    pub(super) lost_in_memory: usize,
    /// Rows that were acknowledged and then set aside.
    pub(super) set_aside: usize,
    /// Rows that were acknowledged and lost with bytes of the log that could not be read, which was reported.
    pub(super) damaged: usize,
}

/// `damaged` says that the disk did more than an engine can make good. Appends what is wrong to `faults`.
pub(super) fn compare(
    ledger: &Ledger,
    store: &Store,
    engine: &Engine,
    damaged: bool,
    faults: &mut Vec<String>,
) -> Compared {
    let ledger = ledger.borrow();
    let mut compared = Compared::default();
    // What was set aside is kept for a person, and counted; an ack does not promise more.
    let reported = damaged && engine.reported_damage();
    let mut set_aside = engine.set_aside();
    // A resource may be among it.
    if !reported && set_aside == 0 {
        faults.extend(store.orphans.iter().cloned());
    }
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
            let lost = acknowledged && times == 0;
            if lost && engine.may_have_lost(request.made) {
                compared.lost_in_memory += 1;
            } else if lost && reported {
                compared.damaged += 1;
            } else if lost && set_aside > 0 {
                set_aside -= 1;
                compared.set_aside += 1;
            } else if lost {
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
        compared.stored_unacknowledged += usize::from(stored && !acknowledged);
    }
    if known != store.rows.len() {
        faults.push(format!(
            "{} rows are stored that nobody sent",
            store.rows.len() - known
        ));
    }
    compared
}
